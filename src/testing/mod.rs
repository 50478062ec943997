//! Tests the contract of a store, with a suite that every store must pass (feature `testing`).
//!
//! This line in a test crate makes a module `my_store` of some ninety tests, each of which opens its own store:
//!
//! ```ignore
//! session_node::store_contract!(my_store, MyStore::new);
//! ```
//!
//! Time passes only in [`bench::Bench::advance`]. Most tests let a few seconds pass and stay away from the times at
//! which something ends, so that a store with its own clock can run them. The tests of exact time check both sides of
//! those times, for stores that decide by the time of the batch.

#[doc(hidden)]
#[allow(missing_docs, reason = "shorthand for the tests of the suite")]
pub mod bench;
mod count;
mod ending;
mod events;
mod exact_time;
mod life;
mod limits;
mod lists;
mod log_in;
mod regeneration;
#[doc(hidden)]
#[allow(
    missing_docs,
    reason = "for the fuzz targets and the benches of this repository"
)]
pub mod wire;

/// Makes a module of tests that check a store against the contract. The expression is a function that opens a new,
/// empty store.
///
/// For a store on a server that decides for all nodes, by the server's clock, write `store_contract!(my_store,
/// on_a_shared_server, open)`. That form leaves out the tests that need exact time or a count of all sessions. Its
/// `open` receives the name of the test and returns an `Option`: `None` skips the test.
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
        mod log_in {
            $crate::tests_of_log_in!();
        }
        mod ending {
            $crate::tests_of_ending!();
        }
        mod lists {
            $crate::tests_of_lists!();
        }
        mod limits {
            $crate::tests_of_limits!();
        }
        mod events {
            $crate::tests_of_events!();
        }
    };
}

/// Makes a bench with an empty store and a policy. Returns from the test if the test cannot run.
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
