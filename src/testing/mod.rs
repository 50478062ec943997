//! The contract of a store as a suite of tests, for those who write one (feature `testing`).
//!
//! ```ignore
//! session_node::store_contract!(my_store, MyStore::new);
//! ```
//!
//! stands in a test crate, and makes a module `my_store` of some seventy tests, each with a store of its own.
//!
//! Time passes in [`bench::Bench::advance`] alone. Most tests let a few seconds pass and keep away from the moments at
//! which something ends, so that a store with a clock of its own can run them. The tests with exact time stand on both
//! sides of those moments, for stores that go by the time they are told.

#[doc(hidden)]
#[allow(missing_docs, reason = "short ways to ask, for the tests of the suite")]
pub mod bench;
mod count;
mod ending;
mod events;
mod exact_time;
mod life;
mod limits;
mod regeneration;
#[doc(hidden)]
#[allow(
    missing_docs,
    reason = "for the fuzz targets and the benches of this repository"
)]
pub mod wire;

/// Makes a module of tests that hold a store to the contract. The expression is a function that opens a new store
/// without any sessions.
///
/// A store on a server that decides by its own clock, and for all nodes, is tested
/// `store_contract!(my_store, on_a_shared_server, open)`: what only an exact time or a count of all sessions shows is
/// left out. There `open` gets the name of the test, and gives none where the test cannot run.
#[macro_export]
macro_rules! store_contract {
    ($name:ident, $open:expr) => {
        mod $name {
            use $crate::testing::bench::Bench;

            fn bench(
                _test: &str,
                policy: $crate::store::Policy,
            ) -> Option<Bench<impl $crate::store::Store>> {
                Some(Bench::new($open(), policy))
            }

            $crate::contract_of_every_store!();
            mod count {
                $crate::tests_with_count!();
            }
            mod exact_time {
                $crate::tests_with_exact_time!();
            }
        }
    };
    ($name:ident, on_a_shared_server, $open:expr) => {
        mod $name {
            use $crate::testing::bench::Bench;

            fn bench(
                test: &str,
                policy: $crate::store::Policy,
            ) -> Option<Bench<impl $crate::store::Store>> {
                $open(test).map(|store| Bench::with_own_clock(store, policy))
            }

            $crate::contract_of_every_store!();
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! contract_of_every_store {
    () => {
        mod life {
            $crate::tests_of_life!();
        }
        mod regeneration {
            $crate::tests_of_regeneration!();
        }
        mod ending {
            $crate::tests_of_ending!();
        }
        mod limits {
            $crate::tests_of_limits!();
        }
        mod events {
            $crate::tests_of_events!();
        }
    };
}

/// A bench of an empty store with the rules of a policy. Ends the test that opens it if it cannot run.
#[doc(hidden)]
#[macro_export]
macro_rules! open_bench {
    ($policy:expr) => {{
        fn here() {}
        let name = ::std::any::type_name_of_val(&here);
        match bench(name.trim_end_matches("::here"), $policy) {
            Some(bench) => bench,
            None => return,
        }
    }};
}
