//! What speaks against moving a role: the server in use, the coordinator, the leader of the store.

use super::{Office, Refused, Todo, View, list, position};

/// The server in use of a listener with one writer.
pub(super) fn server(view: &View<'_>, name: &str, to: &str) -> Result<Todo, Refused> {
    let Some(pool) = view.pools.iter().position(|known| known.name == name) else {
        let known: Vec<&str> = view.pools.iter().map(|known| known.name).collect();
        return Err(Refused::UnknownPool { name: name.to_owned(), known: list(&known) });
    };
    let found = &view.pools[pool];
    if !found.has_one_writer {
        return Err(Refused::UsesAll(name.to_owned()));
    }
    takes_work(view, to)?;
    let lives_there = |at: &usize| found.servers[*at].node == Some(to);
    let there: Vec<usize> = (0..found.servers.len()).filter(lives_there).collect();
    let named = |at: usize| (name.to_owned(), found.servers[at].name.to_owned());
    if let Some(used) = there.iter().find(|at| found.used == Some(found.servers[**at].name)) {
        let (pool, server) = named(*used);
        return Err(Refused::Uses { pool, server });
    }
    match (there.iter().find(|at| found.servers[**at].is_usable), there.first()) {
        (Some(server), _) => Ok(Todo::Use { pool, server: *server }),
        (None, Some(first)) => {
            let (pool, server) = named(*first);
            Err(Refused::Unusable { pool, server })
        }
        (None, None) => Err(Refused::NoServer { pool: name.to_owned(), node: to.to_owned() }),
    }
}

/// Who decides for the cluster.
pub(super) fn coordinator(view: &View<'_>, to: &str) -> Result<Todo, Refused> {
    let office = office(view, "coordinator")?;
    votes(view, office, to)?;
    if office.coordinator == to {
        return Err(Refused::Coordinates(to.to_owned()));
    }
    if to != view.me {
        let (me, there) = (view.me.to_owned(), to.to_owned());
        return Err(Refused::Elsewhere { me, there });
    }
    Ok(Todo::Coordinate)
}

/// Who takes the writes of the store.
pub(super) fn leader(view: &View<'_>, to: &str) -> Result<Todo, Refused> {
    let office = office(view, "leader of a store")?;
    if office.is_outside {
        return Err(Refused::Outside);
    }
    votes(view, office, to)?;
    let Some(leader) = office.leader else { return Err(Refused::LedByNobody) };
    if leader == to {
        return Err(Refused::Leads(to.to_owned()));
    }
    if leader != view.me {
        let (me, there) = (view.me.to_owned(), leader.to_owned());
        return Err(Refused::Elsewhere { me, there });
    }
    Ok(Todo::Lead { to: position(view, to)? })
}

fn office<'a, 'b>(view: &'b View<'a>, role: &'static str) -> Result<&'b Office<'a>, Refused> {
    view.office.as_ref().ok_or(Refused::NoStore(role))
}

fn votes(view: &View<'_>, office: &Office<'_>, to: &str) -> Result<(), Refused> {
    takes_work(view, to)?;
    // Members of an etcd are no nodes of the cluster.
    if office.is_outside || office.voters.is_empty() || office.voters.contains(&to) {
        return Ok(());
    }
    Err(Refused::NoVoter { node: to.to_owned(), voters: list(&office.voters) })
}

pub(super) fn takes_work(view: &View<'_>, to: &str) -> Result<(), Refused> {
    let node = &view.nodes[position(view, to)?];
    if node.is_proven_dead {
        return Err(Refused::ProvenDead(to.to_owned()));
    }
    if !node.is_alive {
        return Err(Refused::NotAlive(to.to_owned()));
    }
    if !node.duty.takes_work() {
        return Err(Refused::TakesNothing(to.to_owned()));
    }
    Ok(())
}
