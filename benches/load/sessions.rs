//! Creates sessions and validates them.

use anyhow::Result;
use rand::RngExt;
use rand::rngs::SmallRng;

use crate::arena::Running;
use crate::stream::{Cost, ask_all};
use crate::wire::{Dialect, Id, Kind, Request};

/// Stands for the id in a create, if the contestant makes the id.
pub const NO_ID: Id = [0; 36];

/// Makes ids in the driver.
pub fn make_ids(count: usize, random: &mut SmallRng) -> Vec<Id> {
    let make = |_| {
        let mut id = NO_ID;
        let uuid = uuid::Builder::from_random_bytes(random.random()).into_uuid();
        uuid.hyphenated().encode_lower(&mut id);
        id
    };
    (0..count).map(make).collect()
}

/// Creates `count` sessions. Each has a user of its own, and `first_user` is the first.
pub fn create(
    running: &mut Running,
    first_user: usize,
    count: usize,
    random: &mut SmallRng,
) -> Result<(Cost, Vec<Id>)> {
    let users = first_user..first_user + count;
    if running.contestant.dialect() == Dialect::Resp {
        let ids = make_ids(count, random);
        let requests = users.zip(&ids).map(|(user, id)| Request::Create(user, id));
        let (cost, _) = ask_all(running, requests, Kind::Created)?;
        return Ok((cost, ids));
    }
    let requests = users.map(|user| Request::Create(user, &NO_ID));
    ask_all(running, requests, Kind::Created)
}

/// Validates `count` times a session at random.
pub fn validate(
    running: &mut Running,
    ids: &[Id],
    count: usize,
    random: &mut SmallRng,
) -> Result<Cost> {
    let requests = (0..count).map(|_| Request::Validate(&ids[random.random_range(0..ids.len())]));
    Ok(ask_all(running, requests, Kind::Valid)?.0)
}
