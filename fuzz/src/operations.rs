//! Any bytes as the rules of a node and a row of requests and waits. The node answers each request as the naive model
//! does.

use arbitrary::{Result, Unstructured};
use session_node_testing::model::{Choice, Rules, Step, compare};

/// Far more than it takes to fill the node: longer rows only cost time.
const MAX_STEPS: usize = 300;

/// Checks what a node answers to the steps that `bytes` mean.
pub fn run(bytes: &[u8]) {
    // Every row of bytes means something: where it ends early, the first of all possible things.
    let _ = run_steps(&mut Unstructured::new(bytes));
}

fn run_steps(bytes: &mut Unstructured<'_>) -> Result<()> {
    let rules = rules(bytes)?;
    let batch = bytes.int_in_range(1..=20)?;
    let mut steps = Vec::new();
    while !bytes.is_empty() && steps.len() < MAX_STEPS {
        steps.push(step(bytes)?);
    }
    compare(rules, &steps, batch);
    Ok(())
}

fn rules(bytes: &mut Unstructured<'_>) -> Result<Rules> {
    Ok(Rules {
        ttl: bytes.int_in_range(1..=8)?,
        idle_timeout: maybe(bytes, |bytes| bytes.int_in_range(1..=4))?,
        max_sessions: bytes.int_in_range(1..=12)?,
        max_sessions_per_user: maybe(bytes, |bytes| bytes.int_in_range(1..=4))?,
        evict_oldest: bytes.arbitrary()?,
        rotation_grace: bytes.int_in_range(0..=4)?,
        revoke_on_reuse: bytes.arbitrary()?,
    })
}

fn step(bytes: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match bytes.int_in_range(0..=15_u8)? {
        0..=2 => Step::Create {
            user: user(bytes)?,
            ttl: maybe(bytes, |bytes| bytes.int_in_range(1..=6))?,
            idle_timeout: maybe(bytes, |bytes| bytes.int_in_range(0..=4))?,
            data: maybe(bytes, few)?,
            binding: maybe(bytes, few)?,
            limit: maybe(bytes, |bytes| bytes.int_in_range(1..=3))?,
        },
        3..=5 => Step::Validate {
            id: choice(bytes)?,
            binding: maybe(bytes, few)?,
            max_age: maybe(bytes, |bytes| bytes.int_in_range(0..=4))?,
            touch: maybe(bytes, Unstructured::arbitrary)?,
        },
        6..=7 => Step::Regenerate {
            id: choice(bytes)?,
            reauthenticated: maybe(bytes, Unstructured::arbitrary)?,
            data: maybe(bytes, few)?,
            binding: maybe(bytes, few)?,
            new_binding: maybe(bytes, few)?,
            user: maybe(bytes, user)?,
            restart: maybe(bytes, |bytes| {
                let ttl = bytes.int_in_range(1..=5)?;
                Ok((ttl, maybe(bytes, |bytes| bytes.int_in_range(0..=3))?))
            })?,
        },
        8 => Step::Update {
            id: choice(bytes)?,
            data: few(bytes)?,
            binding: maybe(bytes, few)?,
            expected: maybe(bytes, |bytes| maybe(bytes, few))?,
        },
        9 => Step::List {
            user: user(bytes)?,
            id: maybe(bytes, choice)?,
            limit: maybe(bytes, |bytes| bytes.int_in_range(1..=4))?,
            newest: maybe(bytes, Unstructured::arbitrary)?,
            cursor: maybe(bytes, choice)?,
            data: maybe(bytes, Unstructured::arbitrary)?,
        },
        10 => Step::Destroy { id: choice(bytes)? },
        11 => Step::DestroyByHandle {
            user: user(bytes)?,
            handle: choice(bytes)?,
        },
        12 => Step::DestroyUser {
            user: user(bytes)?,
            except: maybe(bytes, choice)?,
        },
        13 => match bytes.int_in_range(0..=7_u8)? {
            0 => Step::DestroyAll,
            1 => Step::ListUsers,
            _ => Step::Stats,
        },
        14 => Step::Wait(bytes.int_in_range(1..=4000)?),
        _ => Step::WaitForAnEnd {
            which: choice(bytes)?,
            just_before: bytes.arbitrary()?,
        },
    })
}

fn maybe<'a, T>(
    bytes: &mut Unstructured<'a>,
    read: impl FnOnce(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Option<T>> {
    bytes.arbitrary::<bool>()?.then(|| read(bytes)).transpose()
}

fn user(bytes: &mut Unstructured<'_>) -> Result<u8> {
    bytes.int_in_range(0..=2)
}

fn few(bytes: &mut Unstructured<'_>) -> Result<u8> {
    bytes.int_in_range(0..=2)
}

/// One byte tells apart all the ids that there can be within the steps, nearly.
fn choice(bytes: &mut Unstructured<'_>) -> Result<Choice> {
    let byte: u8 = bytes.arbitrary()?;
    Ok(Choice(u32::from(byte) << 24))
}
