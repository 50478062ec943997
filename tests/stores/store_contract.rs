//! Each store of this crate, and the example of one, passes the suite of the contract.

use session_node::store::MemoryStore;
use session_node::store_contract;

store_contract!(memory_store, super::MemoryStore::new);

// The store that the documentation of stores shows, which brings its own tests of the contract.
#[path = "../../examples/vector_store.rs"]
#[allow(dead_code, reason = "an example has a main function")]
mod vector_store;

#[cfg(feature = "sqlite")]
store_contract!(sqlite_store, super::sqlite::in_a_new_file);

#[cfg(feature = "redis")]
store_contract!(redis_store, on_a_shared_server, super::redis::on_one_server);
#[cfg(feature = "redis")]
store_contract!(
    redis_cluster_store,
    on_a_shared_server,
    super::redis::on_a_cluster
);

#[cfg(feature = "redis")]
mod redis {
    use std::sync::LazyLock;

    use session_node::store::RedisStore;
    use session_node_testing::redis_server::{Cluster, RedisServer, connect, prefix};
    use session_node_testing::tools::REDIS_SERVER;

    // One for all tests, which do not see each other behind their prefixes.
    static SERVER: LazyLock<RedisServer> = LazyLock::new(RedisServer::start);
    static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

    pub fn on_one_server(test: &str) -> Option<RedisStore> {
        is_there_for(test).then(|| connect(&SERVER.url(), &prefix()))
    }

    pub fn on_a_cluster(test: &str) -> Option<RedisStore> {
        is_there_for(test).then(|| connect(&CLUSTER.url(), &prefix()))
    }

    fn is_there_for(test: &str) -> bool {
        let (_, test) = test.split_once("::").expect("a test is in a crate");
        REDIS_SERVER.is_there_for(test)
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use session_node::store::SqliteStore;

    /// The file goes with the store, since an open file needs no name.
    pub fn in_a_new_file() -> SqliteStore {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("contract-{}-{number}.db", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let store = SqliteStore::open(&path).expect("a new file");
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        store
    }
}
