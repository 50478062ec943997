//! Tracks a failure that lasts, so that stderr tells when it begins and when it ends, not once for every batch.

/// Whether something is failing.
#[derive(Debug, Default)]
pub struct Outage {
    lasts: bool,
}

/// A change that deserves a line on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The failure begins.
    Begins,
    /// The failure ends.
    Ends,
}

impl Outage {
    /// Whether the latest attempt failed.
    pub fn lasts(&self) -> bool {
        self.lasts
    }

    /// Records whether the latest attempt failed. Returns the change, if there is one.
    pub fn note(&mut self, fails: bool) -> Option<Turn> {
        let lasted = std::mem::replace(&mut self.lasts, fails);
        match (lasted, fails) {
            (false, true) => Some(Turn::Begins),
            (true, false) => Some(Turn::Ends),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_reported_when_it_begins_and_when_it_ends() {
        let mut outage = Outage::default();
        let told = [false, true, true, false, false, true].map(|fails| outage.note(fails));
        let (begins, ends) = (Some(Turn::Begins), Some(Turn::Ends));
        assert_eq!(told, [None, begins, None, ends, None, begins]);
        assert!(outage.lasts());
    }
}
