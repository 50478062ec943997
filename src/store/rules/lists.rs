//! Lists, in pages: the sessions of a user, and the users.

use super::Rules;
use crate::session::SessionKey;
use crate::store::records::Records;
use crate::store::{Cursor, ListOptions, ListOrder, ListUsersOptions, Listed, ListedUser, Outcome};

/// How many sessions, or users, a list reads at a time.
const READ_AT_A_TIME: usize = 256;

/// After counting so many sessions, a list of users ends its page early, so that no other request waits long for it.
const COUNTED_PER_PAGE: u64 = 10_000;

impl<R: Records> Rules<'_, R> {
    pub(super) fn list(
        &mut self,
        user: &str,
        caller: Option<&SessionKey>,
        options: &ListOptions,
    ) -> Result<Outcome, R::Error> {
        let mut after = options.after.as_ref().and_then(Cursor::place);
        if after.is_none() && options.after.is_some() {
            return Ok(Outcome::UnknownCursor);
        }
        let own = match caller {
            Some(caller) => self.resolve_presented(caller)?,
            None => None,
        };
        let first = self.outcomes.listed_len();
        let mut last_shown = after;
        let mut left = options.limit;
        let is_cut = 'pages: loop {
            // One more than the page shows tells whether the list goes on.
            let at_most = left.saturating_add(1).min(READ_AT_A_TIME);
            let page = self.records.of_user(user, after, options.order, at_most)?;
            for record in &page {
                let session = self.records.session(record);
                let lifetime = session.lifetime.limited_to(self.policy.max_ttl);
                if !lifetime.is_live(self.now) {
                    continue;
                }
                if left == 0 {
                    break 'pages true;
                }
                left -= 1;
                let data = session.data.filter(|_| !options.without_data);
                let data = data.map(|data| self.outcomes.keep(data));
                self.outcomes.push_listed(Listed {
                    handle: session.first_key.handle(),
                    lifetime,
                    data,
                    is_current: own.as_ref().is_some_and(|own| own.record == *record),
                });
                last_shown = Some(self.records.place(record));
            }
            if page.len() < at_most {
                break false;
            }
            after = page.last().map(|record| self.records.place(record));
        };
        let next = last_shown.filter(|_| is_cut).map(Cursor::at);
        Ok(Outcome::Sessions {
            listed: first..self.outcomes.listed_len(),
            next: next.map(|next| self.outcomes.keep(&next.to_string())),
        })
    }

    pub(super) fn list_users(&mut self, options: &ListUsersOptions) -> Result<Outcome, R::Error> {
        let first = self.outcomes.users_len();
        let mut after = options.after.clone();
        let (mut left, mut counted) = (options.limit, 0);
        let is_cut = 'pages: loop {
            let Some(page) = self.records.users(after.as_ref(), READ_AT_A_TIME)? else {
                return Ok(Outcome::UnknownCursor);
            };
            let is_last_page = page.len() < READ_AT_A_TIME;
            for (name, cursor) in page {
                if left == 0 || counted >= COUNTED_PER_PAGE {
                    break 'pages true;
                }
                let (sessions, all) = self.count_live(&name)?;
                counted += all;
                if sessions > 0 {
                    left -= 1;
                    let user = self.outcomes.keep(&name);
                    self.outcomes.push_user(ListedUser { user, sessions });
                }
                after = Some(cursor);
            }
            if is_last_page {
                break false;
            }
        };
        let next = after.filter(|_| is_cut);
        Ok(Outcome::Users {
            listed: first..self.outcomes.users_len(),
            next: next.map(|next| self.outcomes.keep(&next.to_string())),
        })
    }

    /// Counts a user's live sessions, and all of the user's sessions.
    fn count_live(&mut self, user: &str) -> Result<(u64, u64), R::Error> {
        let (mut live, mut all) = (0, 0);
        let mut after = None;
        loop {
            let order = ListOrder::OldestFirst;
            let page = self.records.of_user(user, after, order, READ_AT_A_TIME)?;
            let is_live = |record: &&R::Record| self.lifetime(record).is_live(self.now);
            live += page.iter().filter(is_live).count() as u64;
            all += page.len() as u64;
            match page.last() {
                Some(last) if page.len() == READ_AT_A_TIME => {
                    after = Some(self.records.place(last));
                }
                _ => return Ok((live, all)),
            }
        }
    }
}
