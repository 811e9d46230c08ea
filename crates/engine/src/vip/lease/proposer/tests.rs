use super::*;

const STORE: u64 = 7;

/// "a", or "a2" for the second machine of that name.
fn machine(word: &str) -> Controller {
    let (name, joined) = word.split_at(1);
    Controller { name: name.to_owned(), joined: 100 * joined.parse().unwrap_or(1) }
}

fn machines(words: &str) -> Vec<Controller> {
    words.split_whitespace().map(machine).collect()
}

fn list(store: u64, number: u32, voters: &str) -> List {
    List { number: Number { store, list: number }, former: None, voters: machines(voters) }
}

fn says(of: &str, in_use: InUse) -> Word {
    Word { of: machine(of), store: STORE, in_use, is_settled: true, entry: 10 }
}

/// Proven dead after all words.
fn dead(words: &str) -> Vec<Proof> {
    machines(words).into_iter().map(|of| Proof { of, entry: 20 }).collect()
}

fn by_file(names: &str) -> InUse {
    InUse::ByFile(names.split_whitespace().map(str::to_owned).collect())
}

/// All of them are heard, and said that they use that list.
fn view(controllers: &str, newest: Option<List>, in_use: &InUse) -> View {
    let words = controllers.split_whitespace().map(|of| says(of, in_use.clone())).collect();
    let controllers = machines(controllers);
    let heard = controllers.iter().map(|controller| controller.name.clone()).collect();
    View { store: STORE, list: newest, controllers, words, dead: vec![], heard }
}

/// All of them adopted that list.
fn with(controllers: &str, newest: List) -> View {
    view(controllers, Some(newest.clone()), &InUse::List(newest))
}

/// The voters that are offered, or why none are. Nobody hears the dead.
fn offered(view: &View) -> String {
    let is_dead = |name: &String| view.dead.iter().any(|proof| proof.of.name == *name);
    let heard = view.heard.iter().filter(|name| !is_dead(name)).cloned().collect();
    answered(&View { heard, ..view.clone() })
}

fn answered(view: &View) -> String {
    match view.next() {
        Answer::Offer(List { number, former, voters }) => {
            let name = |voter: &Controller| match voter.joined {
                100 => voter.name.clone(),
                joined => format!("{}{}", voter.name, joined / 100),
            };
            let names: Vec<String> = voters.iter().map(name).collect();
            let former =
                former.map_or(String::new(), |it| format!(" after {}/{}", it.store, it.list));
            format!("{}/{} {}{former}", number.store, number.list, names.join(" "))
        }
        Answer::Waits(waits) => format!("{waits:?}"),
        Answer::Rests => "rests".to_owned(),
    }
}

#[test]
fn the_first_list_has_the_controllers_by_whose_hash_all_went_before() {
    let mut view = view("a b c", None, &by_file("c b a"));
    assert_eq!(offered(&view), "7/1 a b c");
    view.words[1].in_use = InUse::Unread;
    assert_eq!(offered(&view), "7/1 a b c", "who uses none stands in nobody's way");
    view.words[2].in_use = by_file("a b c d");
    assert_eq!(offered(&view), r#"File("c")"#);
}

#[test]
fn the_first_list_waits_for_each_controller_or_the_proof_that_it_is_dead() {
    let mut view = view("a b c", None, &by_file("a b c"));
    let word = view.words.pop().unwrap();
    assert_eq!(offered(&view), r#"Word("c")"#);
    // What it said as part of a former store says nothing of what it did since, nor does what a former machine said.
    view.words.push(Word { store: STORE - 1, ..word.clone() });
    assert_eq!(offered(&view), r#"Word("c")"#);
    view.words.push(Word { of: machine("c2"), ..word });
    assert_eq!(offered(&view), r#"Word("c")"#);
    view.dead = dead("c");
    assert_eq!(offered(&view), "7/1 a b c", "it is proven dead, and a voter when it is back");
}

#[test]
fn after_a_restore_the_first_list_goes_on_with_the_newest_that_anybody_uses() {
    let [five, six] = [(5, "a b c d"), (6, "a b c")].map(|(number, of)| list(3, number, of));
    let mut view = view("a b c", None, &InUse::List(five));
    assert_eq!(offered(&view), "7/1 a b c d after 3/5");
    view.words[1].in_use = InUse::List(six);
    assert_eq!(offered(&view), "7/1 a b c after 3/6");
    view.words[0].in_use = InUse::Unread;
    view.words[2].in_use = by_file("a b c");
    assert_eq!(offered(&view), "7/1 a b c after 3/6");
    view.words.remove(2);
    assert_eq!(offered(&view), r#"Word("c")"#);
    // Somebody took it out of this very store.
    view.words = vec![];
    for of in ["a", "b", "c"] {
        view.words.push(says(of, InUse::List(list(STORE, 4, "a b c"))));
    }
    assert_eq!(offered(&view), "7/5 a b c");
}

#[test]
fn where_too_few_are_left_of_a_former_list_all_leave_it_before_the_first_of_this_store() {
    let former = InUse::List(list(3, 6, "a b c"));
    let mut view = view("a b2 c2", None, &former);
    view.words[1].in_use = InUse::Unread;
    view.words[2].in_use = by_file("a b c");
    assert_eq!(offered(&view), "7/0 ");
    let nobody = list(STORE, 0, "");
    view.list = Some(nobody.clone());
    assert_eq!(offered(&view), r#"Settled(["a", "b", "c"])"#);
    for word in &mut view.words {
        word.in_use = InUse::List(nobody.clone());
    }
    view.words[0].is_settled = false;
    assert_eq!(offered(&view), r#"Settled(["a"])"#, "what it granted may not have ended");
    view.words[0].is_settled = true;
    assert_eq!(offered(&view), "7/1 a b2 c2");
}

#[test]
fn a_machine_that_took_a_place_comes_after_the_former_one_left_and_is_another_voter() {
    let mut view = with("a b c2", list(STORE, 2, "a b c"));
    view.words[2].in_use = InUse::Unread;
    assert_eq!(offered(&view), "7/3 a b");
    let mut view = with("a b c2", list(STORE, 3, "a b"));
    view.words[2].is_settled = false;
    assert_eq!(offered(&view), "7/4 a b c2", "two of two are settled");
    view.heard.retain(|name| name != "c");
    assert_eq!(offered(&view), r#"Unheard("c")"#);
    assert_eq!(offered(&with("a b c2", list(STORE, 4, "a b c2"))), "rests");
}

#[test]
fn one_list_follows_another_when_a_majority_of_it_is_settled_and_of_the_first_all() {
    let mut view = with("a b c d", list(STORE, 2, "a b c"));
    view.words[1].is_settled = false;
    assert_eq!(offered(&view), "7/3 a b c d");
    view.words[2].in_use = InUse::List(list(STORE, 1, "a b c"));
    assert_eq!(offered(&view), r#"Settled(["b", "c"])"#);
    let mut first = with("a b c d", list(STORE, 1, "a b c"));
    first.words[1].is_settled = false;
    assert_eq!(offered(&first), r#"Settled(["b"])"#);
    first.dead = dead("b");
    assert_eq!(offered(&first), "7/2 a b c d", "who is dead adopts nothing, and uses nothing");
}

#[test]
fn the_dead_leave_at_once_as_far_as_that_lets_the_rest_lose_more() {
    for (voters, dead, expected) in [
        ("a b c", "c", "rests"),
        ("a b c d", "d", "7/3 a b c"),
        ("a b c d e", "e", "rests"),
        ("a b c d e", "d e", "7/3 a b c"),
        ("a b c d e f g", "g", "rests"),
        ("a b c d e f g", "e f g", "7/3 a b c d g"),
        // Where a majority is lost no list mends it, though it was settled.
        ("a b c d e", "c d e", "Majority"),
        ("a b", "b", "rests"),
    ] {
        let mut view = with(voters, list(STORE, 2, voters));
        view.dead = self::dead(dead);
        assert_eq!(offered(&view), expected, "{voters} without {dead}");
    }
}

#[test]
fn who_is_proven_dead_and_runs_leaves_no_list_and_is_waited_for() {
    let mut view = with("a b c d e", list(STORE, 4, "a b c d e"));
    view.dead = dead("d e");
    assert_eq!(offered(&view), "7/5 a b c");
    assert_eq!(answered(&view), "rests", "both are heard");
    view.heard.retain(|name| name != "d");
    assert_eq!(answered(&view), "rests", "without one of five no more may be lost");
    let mut left = with("a b c d e", list(STORE, 5, "a b c"));
    assert_eq!(answered(&left), "7/6 a b c d");
    left.dead = dead("d e");
    assert_eq!(answered(&left), "rests", "a proof stands");
    let mut first = self::view("a b c", None, &by_file("a b c"));
    first.dead = dead("c");
    first.words.pop();
    assert_eq!(offered(&first), "7/1 a b c");
    assert_eq!(answered(&first), r#"Word("c")"#);
}

/// {a b c d e}; d and e were off, and begin again by #1, which is still the newest, before anybody hears them: #2 {a b c} beside that
/// could be granted by two, and #1 by three.
#[test]
fn who_spoke_after_it_was_proven_dead_leaves_no_list_though_nobody_hears_it_yet() {
    let mut view = with("a b c d e", list(STORE, 4, "a b c d e"));
    view.dead = dead("d e");
    assert_eq!(offered(&view), "7/5 a b c");
    // Whatever it says, and though that is of another store.
    for (store, in_use) in [(STORE, InUse::Unread), (STORE - 1, by_file("a b"))] {
        view.words[3] = Word { store, entry: 21, ..says("d", in_use) };
        assert_eq!(offered(&view), r#"Spoke("d")"#);
    }
    view.words[4].entry = 22;
    assert_eq!(offered(&view), r#"Spoke("d")"#);
    assert_eq!(answered(&view), "rests", "both are heard");
    // Another machine's word says nothing of it.
    view.words[3].of = machine("d2");
    view.words[4].of = machine("e2");
    assert_eq!(offered(&view), "7/5 a b c");
    // It is proven once more.
    view.words[3].of = machine("d");
    view.dead[0].entry = 22;
    assert_eq!(offered(&view), "7/5 a b c");
    // The first list waits for it as for all who live.
    let mut first = self::view("a b c", None, &by_file("a b c"));
    first.dead = dead("c");
    first.words[2] = Word { store: STORE - 1, entry: 21, ..first.words[2].clone() };
    assert_eq!(offered(&first), r#"Word("c")"#);
}

#[test]
fn lists_become_no_shorter_than_two_and_no_longer_than_all_places() {
    assert_eq!(offered(&with("a c", list(STORE, 2, "a b"))), r#"Settled(["b"])"#);
    let all = "a b c d e f g h i";
    let mut many = with("a b c d e f g h i j", list(STORE, 2, all));
    assert_eq!(offered(&many), "rests");
    many.controllers.remove(8);
    assert_eq!(offered(&many), "7/3 a b c d e f g h");
    assert_eq!(offered(&with("a b c", list(STORE, u32::MAX, "a b"))), "rests");
}

#[test]
fn each_reason_to_wait_says_what_for() {
    let node = || "node03".to_owned();
    for (waits, word) in [
        (Waits::Word(node()), "neither heard to say that it does not nor proven dead"),
        (Waits::File(node()), "other controllers"),
        (Waits::Settled(vec![node()]), "until node03 adopted"),
        (Waits::Unheard(node()), "when it is heard"),
        (Waits::Spoke(node()), "spoke to the store after that"),
    ] {
        let words = waits.to_string();
        assert!(words.contains("node03") && words.contains(word), "{words}");
    }
    assert!(Waits::Majority.to_string().contains("a majority of its voters is proven dead"));
}

#[test]
fn a_machine_that_another_one_followed_leaves_first_and_nobody_whom_the_rest_needs() {
    // Both have to go: without b first, a list of a former machine and one more would be left, and no majority of that.
    let steps = ["a b c", "a c", "a c b2", "a b2"];
    for (number, pair) in (3..).zip(steps.windows(2)) {
        let present = list(STORE, number, pair[0]);
        let mut view = with("a b2", present.clone());
        view.words.push(says("c", InUse::List(present)));
        let next = offered(&view);
        assert_eq!(next, format!("7/{} {}", number + 1, pair[1]));
    }
    let mut view = with("a b", list(STORE, 3, "a b c"));
    assert_eq!(offered(&view), "7/4 a b");
    view.dead = dead("b");
    assert_eq!(offered(&view), "rests", "a and b are no majority while b is dead");
}

#[test]
fn a_machine_that_another_one_followed_leaves_first_also_where_its_place_is_none_of_the_file_any_more()
 {
    let present = list(STORE, 3, "a b c");
    let mut view = with("c", present.clone());
    view.words.push(says("a", InUse::List(present.clone())));
    view.words.push(says("b", InUse::List(present.clone())));
    assert_eq!(offered(&view), "7/4 b c");
    view.words.push(says("b2", InUse::List(present)));
    assert_eq!(offered(&view), "7/4 a c", "b and c are no majority, as b never votes again");
}
