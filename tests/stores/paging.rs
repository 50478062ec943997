//! Long lists in pages, while sessions come and go: whoever lives throughout is shown exactly once.

use std::collections::{HashMap, HashSet};
use std::thread::sleep;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use session_node_testing::{text, turns};

use crate::backends::{Backend, Nodes, on_every_store};

pub const SESSIONS: usize = 30_000;

on_every_store! {
    fn who_lives_throughout_is_shown_once(store) {
        come_and_go(&mut store.start(0, &[]));
    }
}

pub fn list(order: &str, limit: usize) -> Value {
    json!({
        "type": "list_sessions", "user_id": "alice", "order": order, "limit": limit, "data": false
    })
}

pub fn handles_of(page: &[Value]) -> impl Iterator<Item = String> {
    page.iter().map(|listed| text(listed, "handle"))
}

/// All handles, from a list that nothing disturbs.
pub fn all_handles(nodes: &mut Nodes, order: &str) -> Vec<String> {
    let mut handles = Vec::new();
    nodes.page_through(list(order, 1000), |_, page| {
        handles.extend(handles_of(&page));
    });
    handles
}

/// Live sessions: their ids by their handles.
pub type Live = HashMap<String, String>;

/// Begins many sessions of one user.
pub fn begin(nodes: &mut Nodes, count: usize, ttl: u64) -> Live {
    let create = json!({"type": "create_session", "user_id": "alice", "ttl": ttl, "detail": true});
    let created = nodes.ask_at_once(&vec![create; count]);
    let names = |one: &Value| (text(&one["detail"], "handle"), text(one, "session_id"));
    created.iter().map(names).collect()
}

/// Ends those of some sessions that are live.
fn end<'a>(nodes: &mut Nodes, live: &mut Live, handles: impl Iterator<Item = &'a String>) {
    let ids = handles.filter_map(|handle| live.remove(handle));
    let destroy = |id| json!({"type": "destroy_session", "session_id": id, "detail": true});
    for reply in nodes.ask_at_once(&ids.map(destroy).collect::<Vec<_>>()) {
        assert_eq!(reply["ended"], true, "{reply}");
    }
}

fn come_and_go(nodes: &mut Nodes) {
    let _turn = turns::busy();
    let mut live = begin(nodes, SESSIONS / 2, 3600);
    // Two pages and a half of sessions that soon expire.
    begin(nodes, 2500, 1);
    live.extend(begin(nodes, SESSIONS / 2, 3600));
    sleep(Duration::from_millis(1100));
    for order in ["oldest", "newest"] {
        let before = all_handles(nodes, order);
        assert_eq!(before.len(), live.len());
        assert!(before.iter().all(|handle| live.contains_key(handle)));
        let shown = list_while_sessions_come_and_go(nodes, order, &before, &mut live);
        let different: HashSet<_> = shown.iter().collect();
        assert_eq!(different.len(), shown.len(), "some are shown twice");
        let known: HashSet<_> = before.iter().collect();
        let lived = |handle: &&String| known.contains(handle) && live.contains_key(*handle);
        let expected = before.iter().filter(lived);
        assert!(
            expected.eq(shown.iter().filter(lived)),
            "some are missing or out of order"
        );
    }
}

/// Lists the sessions of which `before` is the list, and returns their handles. Keeps `live` up to date.
fn list_while_sessions_come_and_go(
    nodes: &mut Nodes,
    order: &str,
    before: &[String],
    live: &mut Live,
) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(1);
    let mut shown = Vec::new();
    let mut pages = 0;
    nodes.page_through(list(order, 1000), |nodes, page| {
        pages += 1;
        shown.extend(handles_of(&page));
        let cut = shown.last();
        let next = cut.and_then(|cut| before.iter().position(|one| one == cut));
        let rest = next.map_or(&[][..], |place| &before[place + 1..]);
        let mut some_of = |all: &[String]| {
            let count = if all.is_empty() { 0 } else { 10 };
            let places = (0..count).map(|_| random.random_range(0..all.len()));
            places.map(|place| all[place].clone()).collect::<Vec<_>>()
        };
        let strewn = [some_of(&shown), some_of(rest)].concat();
        // Now the session behind the cut, and now the whole next page and more.
        let following = rest.iter().take(if pages == 3 { 1500 } else { 1 });
        end(nodes, live, strewn.iter().chain(cut).chain(following));
        live.extend(begin(nodes, 10, 3600));
    });
    assert!(pages >= SESSIONS / 2000, "only {pages} pages");
    shown
}
