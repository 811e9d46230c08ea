//! Files that hold the keys of `auth_hmac`: read at a start, never by whoever only looks at a configuration.

use std::path::Path;

use config::vip::{KeyValue, Vip};

use crate::files;
use crate::files::Texts;

/// Puts the keys in place of the paths. Those of `outlast.toml` are meant from its folder.
///
/// # Errors
/// In words, one for each file that holds no key; no key is in them.
pub(crate) fn load(
    mut vips: Vec<Vip>,
    cluster: Option<&config::cluster::Cluster>,
    texts: &Texts,
) -> Result<Vec<Vip>, Vec<String>> {
    let folder = texts.cluster.as_ref().and_then(|source| Path::new(&source.path).parent());
    let mut wrong = Vec::new();
    for vip in &mut vips {
        let is_of = |cluster: &config::cluster::Cluster| {
            cluster.vips.iter().any(|known| known.name == vip.name)
        };
        let folder = folder.filter(|_| cluster.is_some_and(is_of));
        for key in vip.hmac.iter_mut().flat_map(|hmac| &mut hmac.keys) {
            let KeyValue::File(path) = &key.value else { continue };
            let path = folder.map_or_else(|| path.into(), |folder| folder.join(path));
            match read(&path) {
                Ok(value) => key.value = value,
                Err(why) => wrong.push(format!("vip {}: key {}: {why}", vip.name, key.id)),
            }
        }
    }
    if wrong.is_empty() { Ok(vips) } else { Err(wrong) }
}

fn read(path: &Path) -> Result<KeyValue, String> {
    let bytes = files::read_private(path).map_err(|error| base::Chain(&error).to_string())?;
    let shown = path.display();
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{shown} is not UTF-8 text"))?;
    KeyValue::written(text).map_err(|why| format!("{shown}: {why}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use config::vip::{Hmac, Key, Mode, Replay};

    use super::*;

    #[test]
    fn a_key_is_taken_from_a_file_that_nobody_else_can_read() {
        let path = std::env::temp_dir().join(format!("outlast-key-{}", std::process::id()));
        let file = KeyValue::File(path.display().to_string());
        let keys = vec![Key { id: 7, value: file }];
        let replay = Replay::Monotonic;
        let hmac = Some(Hmac { keys, active: 7, replay, mode: Mode::Enforce });
        let one = Vip { hmac, ..Vip::plain("internal", "eth0", 51, vec![]) };
        let written = |text: &str, mode: u32| -> Result<KeyValue, String> {
            std::fs::write(&path, text).expect("a file of the test");
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).expect("its own");
            let loaded = load(vec![one.clone()], None, &Texts::default());
            let mut loaded = loaded.map_err(|wrong| wrong.concat())?;
            let hmac = loaded.remove(0).hmac;
            Ok(hmac.expect("it is there").keys.remove(0).value)
        };
        let good = format!("hex:{}\n", "0a".repeat(32));
        assert_eq!(written(&good, 0o600), Ok(KeyValue::Bytes(vec![10; 32])));
        for (text, mode, why) in [
            (good.as_str(), 0o640, "can be read by others"),
            ("hex:0a", 0o600, "a key has 32 to 64 bytes, this one has 1"),
            ("file:/etc/another", 0o600, "this one has 17"),
        ] {
            let wrong = written(text, mode).expect_err("it is no key");
            assert!(wrong.starts_with("vip internal: key 7: ") && wrong.contains(why), "{wrong}");
        }
        std::fs::remove_file(&path).expect("it was written");
    }
}
