//! The store against a model that is slow and plainly right: a list of keys and a list of all changes.

use super::*;

#[derive(Debug, Default)]
struct Model {
    items: BTreeMap<String, (Vec<u8>, u64, u64, Option<u64>)>,
    changes: Vec<(u64, String, Option<Vec<u8>>, bool)>,
    revision: u64,
    clock: u64,
}

impl Model {
    fn apply(&mut self, clock: u64, transaction: &Transaction) -> bool {
        self.clock = self.clock.max(clock);
        let mut late: Vec<_> =
            self.items.iter().filter_map(|(key, item)| Some((item.3?, key.clone()))).collect();
        late.retain(|(until, _)| *until <= self.clock);
        late.sort();
        if !late.is_empty() {
            self.revision += 1;
        }
        for (_, key) in late {
            self.items.remove(&key);
            self.changes.push((self.revision, key, None, true));
        }
        let held = transaction.compares.iter().all(|compare| {
            match (&compare.is, self.items.get(&compare.key)) {
                (Condition::Missing, item) => item.is_none(),
                (_, None) => false,
                (Condition::Value(value), Some(item)) => item.0 == **value,
                (Condition::Created(revision), Some(item)) => item.1 == *revision,
                (Condition::Changed(revision), Some(item)) => item.2 == *revision,
            }
        });
        let next = self.revision + 1;
        for op in if held { &transaction.then } else { &transaction.otherwise } {
            self.perform(op, next);
        }
        held
    }

    fn perform(&mut self, op: &Op, next: u64) {
        match op {
            Op::Put { key, value, limit } => {
                let created = self.items.get(key).map_or(next, |item| item.1);
                let until = limit.map(|limit| self.clock + u64::from(limit));
                self.items.insert(key.clone(), (value.to_vec(), created, next, until));
                self.changes.push((next, key.clone(), Some(value.to_vec()), false));
                self.revision = next;
            }
            Op::Delete { keys } => {
                let gone: Vec<_> = self.items.keys().filter(|key| keys.has(key)).cloned().collect();
                for key in gone {
                    self.items.remove(&key);
                    self.changes.push((next, key, None, false));
                    self.revision = next;
                }
            }
            Op::Read { .. } => {}
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "a/b", "b", "c"]).prop_map(str::to_owned)
}

fn some_keys() -> impl Strategy<Value = Keys> {
    prop_oneof![
        key().prop_map(Keys::One),
        prop::sample::select(vec!["", "a", "z"]).prop_map(|prefix| Keys::Prefix(prefix.into())),
        (key(), key()).prop_map(|(from, to)| Keys::Span { from, to }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let put = (key(), prop::collection::vec(0_u8..3, 0..2), prop::option::of(1_u32..30));
    prop_oneof![
        3 => put.prop_map(|(key, value, limit)| Op::Put { key, value: value.into(), limit }),
        1 => some_keys().prop_map(|keys| Op::Delete { keys }),
        1 => (some_keys(), 0_u32..4).prop_map(|(keys, limit)| Op::Read { keys, limit }),
    ]
}

fn compare() -> impl Strategy<Value = Compare> {
    let is = prop_oneof![
        Just(Condition::Missing),
        prop::collection::vec(0_u8..3, 0..2).prop_map(|value| Condition::Value(value.into())),
        (1_u64..20).prop_map(Condition::Created),
        (1_u64..20).prop_map(Condition::Changed),
    ];
    (key(), is).prop_map(|(key, is)| Compare { key, is })
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let ops = || prop::collection::vec(op(), 0..4);
    (prop::collection::vec(compare(), 0..2), ops(), ops())
        .prop_map(|(compares, then, otherwise)| Transaction { compares, then, otherwise })
}

/// Steps of the clock, sometimes back, and what is done then.
fn entries() -> impl Strategy<Value = Vec<(i64, Transaction)>> {
    prop::collection::vec((-5_i64..15, transaction()), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(entries in entries(), restart in 0_usize..40) {
        let (mut kv, mut model, mut clock) = (Kv::new(), Model::default(), 10_u64);
        let mut restored_at = 0;
        for (number, (step, transaction)) in entries.into_iter().enumerate() {
            clock = clock.saturating_add_signed(step);
            if number == restart {
                kv = read_snapshot(&kv.snapshot()).expect("what we write we read");
                restored_at = kv.revision();
            }
            let entry = Entry { clock, command: Command::Transact(transaction.clone()) };
            prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry.clone()));
            let result = kv.apply(&entry);
            prop_assert_eq!(Outcome::decode(&Outcome::encode(&result)), Ok(result.clone()));
            // What is refused still lets time pass.
            let refused = Transaction::default();
            let obeyed = if result.is_ok() { &transaction } else { &refused };
            let held = model.apply(clock, obeyed);
            if let Ok(outcome) = result {
                prop_assert_eq!((outcome.held, outcome.revision), (held, model.revision));
            }
            let items: BTreeMap<_, _> = kv.range(&Keys::Prefix(String::new()), 99).0.into_iter()
                .map(|(key, item)| (key, (item.value.to_vec(), item.created, item.changed, item.until)))
                .collect();
            prop_assert_eq!(&items, &model.items);
            let bytes: usize = items.iter().map(|(key, item)| key.len() + item.0.len()).sum();
            prop_assert_eq!(bytes, kv.bytes());
            prop_assert_eq!(kv.deadline(), items.values().filter_map(|item| item.3).min());
        }
        let all = Keys::Prefix(String::new());
        let told: Vec<_> = kv.changes(restored_at, &all).expect("few changes are all kept")
            .map(|c| (c.revision, c.key.clone(), c.value.as_ref().map(|v| v.to_vec()), c.expired))
            .collect();
        model.changes.retain(|change| change.0 > restored_at);
        prop_assert_eq!(told, model.changes);
    }
}
