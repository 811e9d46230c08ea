use std::net::Ipv4Addr;

use super::*;
use crate::configuration::Configuration;
use crate::folder::Founding;
use crate::keys::Keys;
use crate::roster::Role;

const NOW: u64 = 1_790_000_000_000;

fn keys(signing: &Keys, agreement: &Keys, proof: &Keys) -> wire::Renew {
    let (one, other) = (signing.public().unwrap(), agreement.public().unwrap());
    let proof = proof.proof().unwrap();
    wire::Renew { signing: one.signing, agreement: other.agreement, proof }
}

fn of(certificate: &str) -> Fingerprint {
    fingerprint(&hex::decode(certificate).unwrap())
}

/// Has files for everybody.
struct All;

impl Configurations for All {
    fn of(&self, _: &Member) -> Result<Configuration, String> {
        Ok(Configuration { generation: 1, files: std::collections::BTreeMap::new() })
    }
}

fn passwords_are_for_the_present_certificate(
    folder: &Folder,
    former: Option<Fingerprint>,
    present: Fingerprint,
) {
    let asks = |guest| {
        let question = Question::Configuration;
        let ask = Ask { version: wire::VERSION, now_ms: NOW, question };
        let desk = Desk { folder, files: &All, answers: &Answers::default(), guest: None };
        decided(&desk, &ask, (guest, Ipv4Addr::LOCALHOST.into()), NOW).0
    };
    let Answer::Refused(why) = asks(former) else { panic!("a former certificate counts") };
    assert!(why.contains("former certificate"), "{why}");
    assert!(matches!(asks(Some(present)), Answer::Configuration(_)));
    assert!(matches!(asks(None), Answer::Refused(_)), "and nothing for strangers");
}

#[test]
fn an_old_key_or_a_used_token_brings_nobody_in_and_puts_nobody_out() {
    let path = std::env::temp_dir().join(format!("outlast-desk-{}", std::process::id()));
    let folder = Folder::new(&path, None);
    let (cluster, node) = ("cloud".to_owned(), "node01".to_owned());
    folder.init(&Founding { cluster, node, address: None }, NOW).unwrap();
    let desk = "127.0.0.1:1".parse().unwrap();
    let token = folder.create_token((Role::Controller, None), desk, 600_000, NOW).unwrap();
    let (mut state, key) = (folder.load().unwrap(), folder.authority_key().unwrap());
    let [first, second, thief] = [0, 1, 2].map(|_| Keys::make().unwrap());
    let mut asks = |question, guest| {
        let ask = Ask { version: wire::VERSION, now_ms: NOW, question };
        let before = state.clone();
        let answer = decide(&mut state, &key, &ask, guest, NOW);
        assert!(answer.is_ok() || state == before, "a refusal changes nothing");
        answer
    };
    let join = |wire::Renew { signing, agreement, proof }| {
        let (id, secret) = (hex::encode(&token.id), hex::encode(&token.secret));
        let node = "node02".to_owned();
        Question::Join(Join { token: id, secret, node, address: None, signing, agreement, proof })
    };
    let came = asks(join(keys(&first, &first, &first)), None).unwrap();
    assert!(matches!(came, Answer::Welcome(_)), "{came:?}");
    // The token was read on its way; the public keys are no secret.
    for stolen in [
        keys(&thief, &first, &thief),
        keys(&thief, &thief, &thief),
        keys(&first, &first, &thief),
        keys(&first, &thief, &first),
    ] {
        let refused = asks(join(stolen), None).unwrap_err();
        assert!(matches!(refused, Refusal::TokenUsed(_)), "{refused}");
    }
    let again = asks(join(keys(&first, &first, &first)), None).unwrap();
    let Answer::Welcome(welcome) = again else { panic!("{again:?}") };

    let old = Some(of(&welcome.certificate));
    let renewed = asks(Question::Renew(keys(&second, &second, &second)), old).unwrap();
    assert!(matches!(renewed, Answer::Renewed(_)), "{renewed:?}");
    for stolen in [
        keys(&thief, &second, &thief),
        keys(&thief, &thief, &thief),
        keys(&second, &thief, &thief),
        keys(&first, &first, &first),
    ] {
        let refused = asks(Question::Renew(stolen), old).unwrap_err();
        assert!(matches!(refused, Refusal::Roster(RosterError::Changing(_))), "{refused}");
    }
    let stolen = Question::Renew(keys(&second, &second, &thief));
    let refused = asks(stolen, old).unwrap_err();
    assert!(matches!(refused, Refusal::Roster(RosterError::Unproven(_))), "{refused}");
    let again = asks(Question::Renew(keys(&second, &second, &second)), old).unwrap();
    let Answer::Renewed(again) = again else { panic!("{again:?}") };
    let member = state.roster.find("node02").unwrap();
    assert_eq!((member.fingerprint, member.epoch), (of(&again.certificate), 1));
    folder.store(&state).unwrap();
    passwords_are_for_the_present_certificate(&folder, old, of(&again.certificate));
    std::fs::remove_dir_all(path).unwrap();
}
