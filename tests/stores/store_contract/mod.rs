//! What every store promises, whatever it is made of. Each store runs the whole suite.
//!
//! Time passes in [`bench::Bench::advance`] alone. The suite lets a few seconds pass and keeps away from the
//! moments at which something ends, so that a store with a clock of its own can run it. The suite with exact
//! time stands on both sides of those moments, for stores that go by the time they are told.

mod bench;
#[macro_use]
mod life;
#[macro_use]
mod regeneration;
#[macro_use]
mod ending;
#[macro_use]
mod limits;
#[macro_use]
mod count;
#[macro_use]
mod events;
#[macro_use]
mod exact_time;
mod memory;

/// A bench of an empty store with the rules of a `Policy`. Ends the test that opens it if a tool that the store needs
/// is missing.
macro_rules! open {
    ($policy:expr) => {
        match bench(session_node_testing::test_name!(), $policy) {
            Some(bench) => bench,
            None => return,
        }
    };
}

/// What opens the bench of a suite: `$open` makes a store, `$bench` a bench of it, and `$tool` is what the store needs.
macro_rules! bench {
    ($open:expr, $bench:expr $(, $tool:ident)?) => {
        use session_node::store::{Policy, Store};
        #[allow(unused_imports, reason = "most stores need no tool")]
        use session_node_testing::tools::{self, Tool};

        use crate::store_contract::bench::Bench;

        fn bench(test: &'static str, policy: Policy) -> Option<Bench<impl Store>> {
            let tools: &[Tool] = &[$(tools::$tool)?];
            let are_there = tools.iter().all(|tool| tool.is_there_for(test));
            are_there.then(|| $bench($open(policy)))
        }
    };
}

/// The suite for a store.
macro_rules! suite {
    ($name:ident, $open:expr) => {
        suite!($name, $open, Bench::new);
    };
    ($name:ident, $open:expr, $bench:expr $(, $tool:ident)?) => {
        mod $name {
            bench!($open, $bench $(, $tool)?);

            mod life {
                tests_of_life!();
            }
            mod regeneration {
                tests_of_regeneration!();
            }
            mod ending {
                tests_of_ending!();
            }
            mod limits {
                tests_of_limits!();
            }
            mod events {
                tests_of_events!();
            }
        }
    };
}

/// The suite for stores that count all their sessions.
macro_rules! suite_with_count {
    ($name:ident, $open:expr) => {
        mod $name {
            bench!($open, Bench::new);
            tests_with_count!();
        }
    };
}

/// The suite for stores that go by the time they are told, to the millisecond.
macro_rules! suite_with_exact_time {
    ($name:ident, $open:expr) => {
        mod $name {
            bench!($open, Bench::new);
            tests_with_exact_time!();
        }
    };
}

suite!(memory_store, session_node::store::MemoryStore::new);
suite_with_count!(
    memory_store_with_count,
    session_node::store::MemoryStore::new
);
suite_with_exact_time!(
    memory_store_with_exact_time,
    session_node::store::MemoryStore::new
);

// The store that the documentation of stores shows.
#[path = "../../../examples/vector_store.rs"]
#[allow(dead_code, reason = "an example has a main function")]
mod vector_store;

fn in_a_vector(policy: session_node::store::Policy) -> vector_store::VectorStore {
    let mut store = vector_store::VectorStore::default();
    store.policy = policy;
    store
}

suite!(vector_store_example, super::in_a_vector);
suite_with_count!(vector_store_example_with_count, super::in_a_vector);
suite_with_exact_time!(vector_store_example_with_exact_time, super::in_a_vector);

#[cfg(feature = "sqlite")]
suite!(sqlite_store, super::sqlite::in_a_new_file);
#[cfg(feature = "sqlite")]
suite_with_count!(sqlite_store_with_count, super::sqlite::in_a_new_file);
#[cfg(feature = "sqlite")]
suite_with_exact_time!(sqlite_store_with_exact_time, super::sqlite::in_a_new_file);

#[cfg(feature = "redis")]
suite!(
    redis_store,
    super::redis::on_one_server,
    Bench::with_own_clock,
    REDIS_SERVER
);
#[cfg(feature = "redis")]
suite!(
    redis_cluster_store,
    super::redis::on_a_cluster,
    Bench::with_own_clock,
    REDIS_SERVER
);

#[cfg(feature = "redis")]
mod redis {
    use std::sync::LazyLock;

    use session_node::store::{Policy, RedisStore};
    use session_node_testing::redis_server::{Cluster, RedisServer, connect, prefix};

    // One for all tests, which do not see each other behind their prefixes.
    static SERVER: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

    pub fn on_one_server(policy: Policy) -> RedisStore {
        connect(&SERVER.url(), &prefix(), policy)
    }

    pub fn on_a_cluster(policy: Policy) -> RedisStore {
        connect(&CLUSTER.url(), &prefix(), policy)
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use session_node::store::{Policy, SqliteStore};

    /// The file goes with the store, since an open file needs no name.
    pub fn in_a_new_file(policy: Policy) -> SqliteStore {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("contract-{}-{number}.db", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let store = SqliteStore::open(&path, policy).expect("a new file");
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        store
    }
}
