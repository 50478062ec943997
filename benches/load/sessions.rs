//! Sessions for contestants to hold, and ids for them to be asked for.

use anyhow::Result;
use rand::RngExt;
use rand::rngs::SmallRng;

use crate::contestant::Running;
use crate::stream::{Cost, Prepared, run_prepared};
use crate::wire::{Dialect, Id, Kind, Request};

/// Ids that nobody has handed out.
pub fn made_up_ids(count: usize, random: &mut SmallRng) -> Vec<Id> {
    let make = |_| {
        let mut id = [0; 36];
        uuid::Builder::from_random_bytes(random.random())
            .into_uuid()
            .hyphenated()
            .encode_lower(&mut id);
        id
    };
    (0..count).map(make).collect()
}

/// Begins `count` sessions, each of a user of its own, the first of them `first_user`.
pub fn create(
    running: &mut Running,
    first_user: usize,
    count: usize,
    random: &mut SmallRng,
) -> Result<(Cost, Vec<Id>)> {
    if running.contestant.dialect() == Dialect::Resp {
        let ids = made_up_ids(count, random);
        let requests = ids.iter().zip(first_user..);
        let requests = requests.map(|(id, user)| Request::Create(user, id));
        let requests = Prepared::new(running, requests);
        let cost = run_prepared(running, requests, Kind::Created, None)?;
        return Ok((cost, ids));
    }
    let requests = (first_user..first_user + count).map(|user| Request::Create(user, &NO_ID));
    let requests = Prepared::new(running, requests);
    let mut ids = Vec::with_capacity(count);
    let mut keep = |arrived: &[Id]| ids.extend_from_slice(arrived);
    let cost = run_prepared(running, requests, Kind::Created, Some(&mut keep))?;
    Ok((cost, ids))
}

/// Where the contestant makes the id.
pub const NO_ID: Id = [0; 36];

/// Asks for `count` sessions at random.
pub fn validate(
    running: &mut Running,
    ids: &[Id],
    count: usize,
    random: &mut SmallRng,
) -> Result<Cost> {
    let asked = (0..count).map(|_| Request::Validate(&ids[random.random_range(0..ids.len())]));
    let requests = Prepared::new(running, asked);
    run_prepared(running, requests, Kind::Valid, None)
}
