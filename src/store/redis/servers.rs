//! Takes commands to one server, or to all servers of a cluster, and brings back their answers.
//!
//! The cluster client of the `redis` crate resends commands by itself, even if they may have taken effect. This store
//! reports whether a failed command may have taken effect, so it follows slots and redirections itself. It leaves
//! connections, encoding and parsing to the crate.

use redis::{Cmd, ConnectionAddr, ServerError, Value, cmd, from_redis_value};

use super::exchange::{Answer, Command, Exchange, Sending, no_effect};
use super::link::Link;
use super::options::RedisOptions;
use super::slots::{SLOTS, ranges, slot_of};
use crate::store::StoreError;

/// How often the node sends a command at most. Each time that its slot is elsewhere, the node learns where.
const MAX_ROUNDS: usize = 6;

/// The servers, with a connection to each that the node has needed so far.
pub struct Servers {
    options: RedisOptions,
    links: Vec<Link>,
    /// The link of each slot; empty without a cluster.
    slots: Vec<usize>,
    /// Whether the node must ask again where the slots are.
    is_outdated: bool,
}

impl Servers {
    /// Connects to the server, or to one server of the cluster.
    pub fn connect(options: RedisOptions) -> Result<Self, String> {
        let mut servers = Self {
            links: options.url.servers.iter().cloned().map(Link::new).collect(),
            slots: Vec::new(),
            is_outdated: false,
            options,
        };
        if servers.options.url.is_cluster {
            servers.find_slots()?;
        } else {
            servers.links[0].open(&servers.options)?;
            let slots = servers.ask(0, cmd("CLUSTER").arg("SLOTS"));
            if slots.is_ok_and(|value| ranges(value, "").is_some()) {
                return Err(cluster_expected(&servers.links[0]));
            }
        }
        Ok(servers)
    }

    /// Finds the link to a server that another server of the cluster has named, or adds it.
    fn link_to(&mut self, host: &str, port: u16) -> usize {
        let name = format!("{host}:{port}");
        if let Some(link) = self.links.iter().position(|link| link.name == name) {
            return link;
        }
        let known = &self.options.url.servers[0];
        let mut address = known.addr().clone();
        if let ConnectionAddr::Tcp(at, on)
        | ConnectionAddr::TcpTls {
            host: at, port: on, ..
        } = &mut address
        {
            (*at, *on) = (host.to_owned(), port);
        }
        self.links.push(Link::new(known.clone().set_addr(address)));
        self.links.len() - 1
    }

    /// Sends all commands, those for one server in one pipeline and in their order, and reads the answers. The commands
    /// for one key take effect in their order or not at all.
    pub fn exchange(&mut self, commands: &[Command]) -> Vec<Answer> {
        let mut exchange = Exchange::of(commands);
        for _ in 0..MAX_ROUNDS {
            if exchange.unsent.is_empty() {
                break;
            }
            if self.is_outdated
                && let Err(why) = self.find_slots()
            {
                for sending in &exchange.unsent {
                    exchange.answers[sending.command] = no_effect(&why);
                }
                break;
            }
            self.send_unsent(&mut exchange);
            exchange.give_up_overtaken();
        }
        exchange.answers
    }

    /// Sends what is unsent to all servers, and only then reads their answers, so that the servers work side by side.
    fn send_unsent(&mut self, exchange: &mut Exchange<'_>) {
        let mut by_link = exchange.take_unsent(|key| self.link_of(key));
        by_link.retain(|&link, sendings| {
            let Err(failure) = self.send(exchange.commands, link, sendings) else {
                return true;
            };
            // If a server of a cluster is out of reach, another may have its slots by now.
            let is_elsewhere = matches!(failure, StoreError::NoEffect(_)) && self.is_cluster();
            self.is_outdated |= is_elsewhere;
            for &Sending { command, .. } in &*sendings {
                exchange.answers[command] = Err(failure.clone());
                if is_elsewhere {
                    exchange.send_again(command, None);
                }
            }
            false
        });
        for (link, sendings) in by_link {
            for sending in sendings {
                let command = sending.command;
                exchange.answers[command] = match self.receive(link, sending) {
                    Ok(Value::ServerError(error)) => {
                        Err(self.judge(&error, link, command, exchange))
                    }
                    answer => answer.map_err(StoreError::MayHaveTakenEffect),
                };
            }
        }
    }

    fn send(
        &mut self,
        commands: &[Command],
        link: usize,
        sendings: &[Sending],
    ) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        for sending in sendings {
            if sending.asking.is_some() {
                cmd("ASKING").write_packed_command(&mut bytes);
            }
            commands[sending.command]
                .cmd
                .write_packed_command(&mut bytes);
        }
        let link = &mut self.links[link];
        link.is_used = true;
        link.open(&self.options).map_err(StoreError::NoEffect)?;
        link.send(&bytes).map_err(StoreError::MayHaveTakenEffect)
    }

    fn receive(&mut self, link: usize, sending: Sending) -> Result<Value, String> {
        let link = &mut self.links[link];
        if sending.asking.is_some() {
            link.receive()?;
        }
        link.receive()
    }

    /// Says why a command failed, from a server's error. Has it sent again if it only went to the wrong place.
    fn judge(
        &mut self,
        error: &ServerError,
        link: usize,
        command: usize,
        exchange: &mut Exchange<'_>,
    ) -> StoreError {
        let (code, details) = (error.code(), error.details().unwrap_or_default());
        let why = format!("{}: {code} {details}", self.links[link].name);
        match (code, address_in(details, self.links[link].host())) {
            ("MOVED", _) if !self.is_cluster() => {
                StoreError::NoEffect(cluster_expected(&self.links[link]))
            }
            ("MOVED" | "ASK", Some((host, port))) => {
                let link = self.link_to(&host, port);
                let asking = (code == "ASK").then_some(link);
                if asking.is_none() {
                    self.slots[slot_of(&exchange.commands[command].key)] = link;
                }
                exchange.send_again(command, asking);
                StoreError::NoEffect("the slot moved too often".to_owned())
            }
            ("MOVED" | "ASK" | "READONLY" | "CLUSTERDOWN" | "MASTERDOWN", _)
                if self.is_cluster() =>
            {
                self.is_outdated = true;
                exchange.send_again(command, None);
                StoreError::NoEffect(why)
            }
            ("NOSCRIPT", _) => {
                self.links[link].knows_scripts = false;
                exchange.send_again(command, None);
                StoreError::NoEffect("the server does not keep its scripts".to_owned())
            }
            // The server has become a replica, so its name may lead to another server by now.
            ("READONLY", _) => {
                self.links[link].is_given_up = true;
                StoreError::NoEffect(why)
            }
            _ if is_refusal(code) => StoreError::NoEffect(why),
            _ => StoreError::MayHaveTakenEffect(why),
        }
    }

    /// Finds the link to the server that has a key.
    fn link_of(&self, key: &str) -> usize {
        self.slots.get(slot_of(key)).copied().unwrap_or(0)
    }

    fn is_cluster(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Asks one known server after the other where the slots are, until one says so.
    fn find_slots(&mut self) -> Result<(), String> {
        let mut why = String::new();
        for link in 0..self.links.len() {
            let asked = self.links[link].ask(&self.options, cmd("CLUSTER").arg("SLOTS"));
            let host = self.links[link].host().to_owned();
            match asked.map(|value| ranges(value, &host)) {
                Ok(Some(ranges)) => {
                    let mut slots = vec![link; SLOTS];
                    for (range, host, port) in ranges {
                        let link = self.link_to(&host, port);
                        slots[range].fill(link);
                    }
                    self.slots = slots;
                    self.is_outdated = false;
                    return Ok(());
                }
                Ok(None) => {
                    why = format!("{} is not part of a cluster", self.links[link].name);
                }
                Err(error) => why = error,
            }
        }
        self.is_outdated = true;
        Err(why)
    }

    /// The rule by which the server forgets live sessions when its memory is full; `None` if it forgets none, or does
    /// not say.
    pub fn eviction(&mut self) -> Option<String> {
        let info = self.ask(0, cmd("INFO").arg("memory")).ok()?;
        let text: String = from_redis_value(info).ok()?;
        let policy = text
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"))?;
        (policy != "noeviction").then(|| policy.to_owned())
    }

    /// Waits until enough replicas hold what the node has sent since [`Servers::forget_used`].
    pub fn wait_for_replicas(&mut self) -> Result<(), String> {
        let wanted = self.options.wait_replicas;
        if wanted == 0 {
            return Ok(());
        }
        let timeout = self.options.wait_timeout.as_millis().max(1);
        let mut wait = cmd("WAIT");
        wait.arg(wanted).arg(timeout.to_string());
        for link in self.links.iter_mut().filter(|link| link.is_used) {
            let held = link.wait(&self.options, &wait)?;
            let name = &link.name;
            let held: u32 =
                from_redis_value(held).map_err(|_| format!("{name}: no answer to WAIT"))?;
            if held < wanted {
                return Err(format!("{name}: {held} of {wanted} replicas have it"));
            }
        }
        Ok(())
    }

    /// Starts a batch: replicas need to hold only what the node sends from here on.
    pub fn forget_used(&mut self) {
        self.links.iter_mut().for_each(|link| link.is_used = false);
    }

    /// The links to the servers that together hold all keys.
    pub fn primaries(&mut self) -> Result<Vec<usize>, StoreError> {
        if self.is_outdated {
            self.find_slots().map_err(StoreError::NoEffect)?;
        }
        let mut links = self.slots.clone();
        links.sort_unstable();
        links.dedup();
        Ok(if links.is_empty() { vec![0] } else { links })
    }

    /// The host and the port of a server.
    pub fn name_of(&self, link: usize) -> &str {
        &self.links[link].name
    }

    /// Sends one server a command that concerns no key.
    pub fn ask(&mut self, link: usize, command: &Cmd) -> Result<Value, String> {
        self.links[link].ask(&self.options, command)
    }
}

/// Tells the operator that a server was named as one on its own, but is part of a cluster.
fn cluster_expected(link: &Link) -> String {
    let name = &link.name;
    format!("{name} is part of a cluster, which is named with redis-cluster://")
}

/// Whether a server refuses a command with this error before it begins.
fn is_refusal(code: &str) -> bool {
    matches!(
        code,
        "ASK"
            | "BUSY"
            | "CLUSTERDOWN"
            | "LOADING"
            | "MASTERDOWN"
            | "MISCONF"
            | "NOAUTH"
            | "NOPERM"
            | "NOREPLICAS"
            | "OOM"
            | "TRYAGAIN"
            | "WRONGTYPE"
    )
}

/// Reads the host and the port from `SLOT HOST:PORT`. A server that leaves the host out means its own.
fn address_in(details: &str, own_host: &str) -> Option<(String, u16)> {
    let (host, port) = details.rsplit_once(' ')?.1.rsplit_once(':')?;
    let host = if host.is_empty() { own_host } else { host };
    Some((host.to_owned(), port.parse().ok()?))
}
