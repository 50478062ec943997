//! Things that fail for a while: people are told when that begins and when it ends, not once for every batch.

/// Whether something is out of order.
#[derive(Debug, Default)]
pub struct Outage {
    lasts: bool,
}

/// A change that is worth a line on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It works no longer.
    Begins,
    /// It works again.
    Ends,
}

impl Outage {
    /// Whether it was out of order when it was last tried.
    pub fn lasts(&self) -> bool {
        self.lasts
    }

    /// Notes whether it `fails` now, and gives the change that this is.
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
    fn an_outage_is_told_when_it_begins_and_when_it_ends() {
        let mut outage = Outage::default();
        let told = [false, true, true, false, false, true].map(|fails| outage.note(fails));
        let (begins, ends) = (Some(Turn::Begins), Some(Turn::Ends));
        assert_eq!(told, [None, begins, None, ends, None, begins]);
        assert!(outage.lasts());
    }
}
