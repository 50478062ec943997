//! Builds the requests of the typed interface, and checks them against the limits that also apply on the wire.

use std::borrow::Cow;
use std::time::Duration;

use super::answer::Error;
use crate::limits::{self, MAX_LIST_LIMIT};
use crate::session::{Handle, Policy, SessionKey};
use crate::store::{
    Changes, Conditions, CreateOptions, ListOptions, ListUsersOptions, Operation, UpdateConditions,
};

/// A request to an authority, which makes the ids that the request needs.
pub type Request<'a> = Operation<'a, ()>;

pub fn create<'a>(user: impl Into<Cow<'a, str>>, options: CreateOptions<'a>) -> Request<'a> {
    Operation::Create {
        key: (),
        user: user.into(),
        options: box_unless_default(options),
    }
}

pub fn validate(id: &str, conditions: Conditions) -> Request<'static> {
    Operation::Validate {
        key: SessionKey::of(id),
        conditions: box_unless_default(conditions),
    }
}

pub fn regenerate<'a>(old_id: &str, changes: Changes<'a>) -> Request<'a> {
    Operation::Regenerate {
        old: SessionKey::of(old_id),
        new: (),
        changes: box_unless_default(changes),
    }
}

pub fn update<'a>(
    id: &str,
    data: impl Into<Cow<'a, str>>,
    conditions: UpdateConditions<'a>,
) -> Request<'a> {
    Operation::Update {
        key: SessionKey::of(id),
        data: data.into(),
        conditions: box_unless_default(conditions),
    }
}

pub fn list<'a>(
    user: impl Into<Cow<'a, str>>,
    own_id: Option<&str>,
    options: ListOptions,
) -> Request<'a> {
    Operation::List {
        user: user.into(),
        caller: own_id.map(SessionKey::of),
        options: Box::new(options),
    }
}

pub fn list_users(options: ListUsersOptions) -> Request<'static> {
    Operation::ListUsers {
        options: Box::new(options),
    }
}

pub fn destroy(id: &str) -> Request<'static> {
    Operation::Destroy {
        key: SessionKey::of(id),
        detail: false,
    }
}

pub fn destroy_by_handle<'a>(user: impl Into<Cow<'a, str>>, handle: &str) -> Request<'a> {
    Operation::DestroyByHandle {
        user: user.into(),
        handle: Handle::parse(handle),
        detail: false,
    }
}

pub fn destroy_user<'a>(user: impl Into<Cow<'a, str>>, except: Option<&str>) -> Request<'a> {
    Operation::DestroyUser {
        user: user.into(),
        except: except.map(SessionKey::of),
    }
}

/// Boxes options, unless all have their default values.
fn box_unless_default<T: Default + PartialEq>(options: T) -> Option<Box<T>> {
    (options != T::default()).then(|| Box::new(options))
}

/// Returns the request with its data made compact, if its values keep to the limits.
///
/// # Errors
///
/// [`Error::Invalid`] if a value breaks a limit.
pub fn check<'a>(mut request: Request<'a>, policy: &Policy) -> Result<Request<'a>, Error> {
    match &mut request {
        Operation::Create { user, options, .. } => {
            check_user(user, policy)?;
            if let Some(options) = options {
                check_create(options, policy)?;
            }
        }
        Operation::Regenerate {
            changes: Some(changes),
            ..
        } => {
            if let Some(user) = &changes.user {
                check_user(user, policy)?;
            }
            check_lifetime(changes.ttl, changes.idle_timeout, policy)?;
            check_user_limit(changes.max_sessions_per_user)?;
            if let Some((argument, must_be)) = changes.out_of_place() {
                return Err(Error::invalid(argument, must_be.to_owned()));
            }
            check_data(changes.data.as_mut(), policy)?;
        }
        Operation::Update {
            data, conditions, ..
        } => {
            check_data(Some(data), policy)?;
            let expected = conditions.as_mut().map(|it| &mut it.expected_data);
            let expected = expected.and_then(|it| it.as_mut()?.as_mut());
            // Expected data may be of any size, as on the wire: data that is too large never matches.
            if expected.is_some_and(|data| !make_compact(data, usize::MAX)) {
                let must_be = "a JSON object without lone surrogates".to_owned();
                return Err(Error::invalid("expected_data", must_be));
            }
        }
        Operation::List { user, options, .. } => {
            check_user(user, policy)?;
            check_list_limit(options.limit)?;
        }
        Operation::ListUsers { options } => check_list_limit(options.limit)?,
        Operation::DestroyByHandle { user, .. } | Operation::DestroyUser { user, .. } => {
            check_user(user, policy)?;
        }
        Operation::Regenerate { changes: None, .. }
        | Operation::Validate { .. }
        | Operation::Destroy { .. }
        | Operation::DestroyAll
        | Operation::Stats => {}
    }
    Ok(request)
}

fn check_user(user: &str, policy: &Policy) -> Result<(), Error> {
    let max_bytes = policy.max_user_id_bytes;
    if (1..=max_bytes).contains(&user.len()) {
        return Ok(());
    }
    let must_be = format!("a string of 1 to {max_bytes} bytes");
    Err(Error::invalid("user", must_be))
}

fn check_list_limit(limit: usize) -> Result<(), Error> {
    if (1..=MAX_LIST_LIMIT).contains(&limit) {
        return Ok(());
    }
    let must_be = format!("from 1 to {MAX_LIST_LIMIT}");
    Err(Error::invalid("limit", must_be))
}

fn check_create(options: &mut CreateOptions<'_>, policy: &Policy) -> Result<(), Error> {
    check_lifetime(options.ttl, options.idle_timeout, policy)?;
    check_user_limit(options.max_sessions_per_user)?;
    check_data(options.data.as_mut(), policy)
}

fn check_lifetime(
    ttl: Option<Duration>,
    idle_timeout: Option<Duration>,
    policy: &Policy,
) -> Result<(), Error> {
    let max = policy.max_ttl;
    let is_in_range = |time: &Duration| (Duration::from_secs(1)..=max).contains(time);
    if ttl.is_some_and(|ttl| !is_in_range(&ttl)) {
        return Err(Error::invalid("ttl", format!("from 1s to {max:?}")));
    }
    let idle_timeout = idle_timeout.filter(|timeout| !timeout.is_zero());
    if idle_timeout.is_some_and(|timeout| !is_in_range(&timeout)) {
        let must_be = format!("zero, or from 1s to {max:?}");
        return Err(Error::invalid("idle_timeout", must_be));
    }
    Ok(())
}

fn check_user_limit(limit: Option<usize>) -> Result<(), Error> {
    if limit == Some(0) {
        let must_be = "at least 1".to_owned();
        return Err(Error::invalid("max_sessions_per_user", must_be));
    }
    Ok(())
}

fn check_data(data: Option<&mut Cow<'_, str>>, policy: &Policy) -> Result<(), Error> {
    let max_bytes = policy.max_data_bytes;
    if data.is_none_or(|data| make_compact(data, max_bytes)) {
        return Ok(());
    }
    Err(Error::invalid("data", limits::data_must_be(max_bytes)))
}

/// Makes data compact, or returns false if a session may not hold it.
fn make_compact(data: &mut Cow<'_, str>, max_bytes: usize) -> bool {
    let json = data.trim_ascii();
    let compact = limits::is_json(json).then(|| limits::compact_data(json, max_bytes));
    match compact.flatten() {
        // The data was compact already.
        Some(Cow::Borrowed(json)) if json.len() == data.len() => {}
        Some(compact) => *data = Cow::Owned(compact.into_owned()),
        None => return false,
    }
    true
}
