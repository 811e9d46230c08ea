use super::*;

fn hedge(pool: &Pool, figures: &Figures, first: usize) -> Option<usize> {
    let ask = Ask { source: [127, 0, 0, 10].into(), avoid: &ServerSet::EMPTY };
    pool.hedge(first, &ask, figures)
}

#[test]
fn a_second_connect_goes_to_another_healthy_server_with_room() {
    let mut pool = adaptive("mode http; balance roundrobin", &["", "maxconn 1", ""]);
    let figures = Figures::default();
    assert_eq!(pool.hedge_after(0), Some(MOST_PATIENCE));
    pool.connected(1, Duration::from_millis(1));
    assert_eq!(pool.hedge_after(0), Some(LEAST_PATIENCE), "as near as the others");
    figures.sessions.replace(vec![0, 1, 0]);
    assert_eq!(hedge(&pool, &figures, 0), Some(2), "b is full");
    pool.set(2, SUSPECT);
    assert_eq!(hedge(&pool, &figures, 0), None);
}

#[test]
fn silence_speaks_against_a_server_after_its_own_time_and_not_after_that_of_others() {
    let mut pool = adaptive("mode http; balance roundrobin", &["", "", ""]);
    assert_eq!(pool.speaks_after(0), MOST_PATIENCE);
    pool.connected(1, Duration::from_millis(1));
    // A second connect is begun early, and nothing is said of the first one.
    assert_eq!((pool.hedge_after(0), pool.speaks_after(0)), (Some(LEAST_PATIENCE), MOST_PATIENCE));
    assert_eq!(pool.speaks_after(1), LEAST_PATIENCE);
    // A connect that came late is a measurement: it is farther.
    pool.connected(0, Duration::from_millis(40));
    assert_eq!(pool.speaks_after(0), Duration::from_millis(160));
    assert_eq!(pool.hedge_after(0), Some(Duration::from_millis(160)));
    // One that is near and went far is learned as well, after a few.
    (0..3).for_each(|_| pool.connected(1, Duration::from_millis(80)));
    assert!(pool.speaks_after(1) > Duration::from_millis(80), "{:?}", pool.speaks_after(1));
}

#[test]
fn there_is_no_second_connect_where_it_could_do_harm() {
    let figures = Figures::default();
    let none = |pool: &Pool, why: &str| assert_eq!(hedge(pool, &figures, 0), None, "{why}");
    none(&strict("mode http; balance roundrobin", &["", ""]), "strict");
    none(&adaptive("mode tcp; balance roundrobin", &["", ""]), "tcp");
    none(&adaptive("mode http; balance roundrobin", &["", "backup"]), "into backup");
    none(&adaptive("mode http; balance roundrobin", &[""]), "alone");
    let backups = ["", "", "backup", "backup"];
    let mut pool = adaptive("mode http; balance roundrobin; option allbackups", &backups);
    pool.set(0, SUSPECT);
    pool.set(1, SUSPECT);
    assert_eq!(hedge(&pool, &figures, 2), None, "from backup to backup");
    let mut pool = adaptive("mode http; balance source", &["", ""]);
    none(&pool, "the client belongs there");
    pool.set(0, SUSPECT);
    assert_eq!(hedge(&pool, &figures, 0), Some(1), "nobody belongs to a suspect");
    let mut pool = adaptive("mode http; balance roundrobin", &["", ""]);
    pool.break_redispatch();
    none(&pool, "broken on purpose");
}
