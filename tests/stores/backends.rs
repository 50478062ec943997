//! Every store that the program can open, for tests that ask all of them the same: real nodes that share what they
//! keep.

use std::fmt::Display;

use serde_json::Value;
#[cfg(feature = "sqlite")]
use session_node_testing::place::Place;
#[cfg(feature = "redis")]
use session_node_testing::redis_server::{Cluster, RedisServer};
use session_node_testing::responder::Responder;
use session_node_testing::{Node, body, message};

/// Where nodes keep their sessions.
pub enum Backend {
    Memory,
    #[cfg(feature = "sqlite")]
    File(Place),
    #[cfg(feature = "redis")]
    Server(RedisServer),
    #[cfg(feature = "redis")]
    Cluster(Cluster),
}

impl Backend {
    /// Starts as many nodes as can share a store of this kind, with these options. Stores of other numbers share
    /// nothing with theirs.
    pub fn start(&self, number: usize, options: &[&str]) -> Nodes {
        let own = self.options(number);
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        Nodes::start(self.nodes(), &[&own, options].concat())
    }

    /// How many nodes it starts.
    pub fn nodes(&self) -> usize {
        if matches!(self, Self::Memory) { 1 } else { 2 }
    }

    fn options(&self, number: usize) -> Vec<String> {
        #[cfg(feature = "redis")]
        let on_servers = |url| {
            [
                "--store".to_owned(),
                url,
                "--redis-prefix".to_owned(),
                format!("{number}:"),
            ]
        };
        match self {
            Self::Memory => {
                let _ = number;
                Vec::new()
            }
            #[cfg(feature = "sqlite")]
            Self::File(place) => {
                let file = place.0.join(format!("{number}.db"));
                vec!["--store".to_owned(), format!("sqlite:{}", file.display())]
            }
            #[cfg(feature = "redis")]
            Self::Server(server) => on_servers(server.url()).into(),
            #[cfg(feature = "redis")]
            Self::Cluster(cluster) => on_servers(cluster.url()).into(),
        }
    }
}

/// Nodes on one store, which are asked in turn.
pub struct Nodes {
    all: Vec<Node>,
    turn: usize,
    /// Whether one node can tell how many sessions all nodes hold.
    pub counts_sessions: bool,
}

impl Nodes {
    pub fn start(count: usize, args: &[&str]) -> Self {
        Self {
            all: (0..count).map(|_| Node::start(args)).collect(),
            turn: 0,
            counts_sessions: !args.iter().any(|arg| arg.starts_with("redis")),
        }
    }

    /// Lets the next node answer out of turn.
    pub fn skip(&mut self) {
        self.turn += 1;
    }

    /// What each node answers.
    pub fn ask_each(&mut self, request: &Value) -> Vec<Value> {
        self.all.iter_mut().map(|node| node.ask(request)).collect()
    }

    /// Asks for all pages of a list, and calls `look` after each with what it shows.
    pub fn page_through(
        &mut self,
        mut request: Value,
        mut look: impl FnMut(&mut Self, Vec<Value>),
    ) {
        let limit = request["limit"].as_u64().expect("a limit");
        loop {
            let mut page = self.ask(&request);
            let name = if page["type"] == "user_list" {
                "users"
            } else {
                "sessions"
            };
            let Value::Array(shown) = page[name].take() else {
                panic!("no list: {page}");
            };
            assert!(shown.len() as u64 <= limit, "{page}");
            assert_eq!(
                page.get("more").is_some(),
                page.get("cursor").is_some(),
                "{page}"
            );
            look(self, shown);
            let Some(cursor) = page.get("cursor") else {
                return;
            };
            assert_eq!(page["more"], true);
            request["cursor"] = cursor.clone();
        }
    }

    /// Asks so many requests at once that they wait for each other in pipes. The nodes take turns, and the replies come
    /// in the order of the requests.
    pub fn ask_at_once(&mut self, requests: &[Value]) -> Vec<Value> {
        let count = self.all.len();
        for (number, node) in self.all.iter_mut().enumerate() {
            let own = requests.iter().skip(number).step_by(count);
            let lines = own.map(|request| message(request) + "\n");
            node.write(lines.collect::<String>());
        }
        let asked = 0..requests.len();
        asked
            .map(|number| body(&self.all[number % count].recv()))
            .collect()
    }
}

impl Responder for Nodes {
    fn ask(&mut self, request: impl Display) -> Value {
        let node = self.turn % self.all.len();
        self.turn += 1;
        self.all[node].ask(request)
    }
}

/// Makes a test of each function for each store.
macro_rules! on_every_store {
    ($(fn $name:ident($store:ident) $body:block)*) => {
        mod in_memory {
            use super::*;

            $(#[test]
            fn $name() {
                let $store = &Backend::Memory;
                $body
            })*
        }

        #[cfg(feature = "sqlite")]
        mod in_a_file {
            use super::*;

            $(#[test]
            fn $name() {
                let place = session_node_testing::place::Place::new("every-store");
                let $store = &Backend::File(place);
                $body
            })*
        }

        #[cfg(feature = "redis")]
        mod on_a_server {
            use super::*;

            $(#[test]
            fn $name() {
                session_node_testing::needs!(REDIS_SERVER);
                let server = session_node_testing::redis_server::RedisServer::start();
                let $store = &Backend::Server(server);
                $body
            })*
        }

        #[cfg(feature = "redis")]
        mod on_a_cluster {
            use super::*;

            $(#[test]
            fn $name() {
                session_node_testing::needs!(REDIS_SERVER);
                let cluster = session_node_testing::redis_server::Cluster::start();
                let $store = &Backend::Cluster(cluster);
                $body
            })*
        }
    };
}

pub(crate) use on_every_store;
