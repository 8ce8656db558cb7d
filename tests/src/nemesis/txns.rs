//! Clients that run transactions on the cluster all the time: lists, transfers, and requests that are sent
//! again under their idempotency key through another node.
//!
//! Lists are replaced by new ones now and then, so that they stay short.
use super::txn_api::{Heard, TxnApi, timestamp};
use crate::sim::checkers::txn::bank::Balances;
use crate::sim::checkers::txn::book::{Book, Counts, ListEnd, ListId, Verdict};
use crate::sim::checkers::txn::once::Attempt;
use crate::workload::txn::{Fate, Level, ListStep, ListTxn};
use serde_json::{Value as Json, json};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use troupe_actors::env::{Rng, Rngs};

/// Lists in use at a time.
const LISTS: u32 = 6;
/// Appends after which the lists are replaced.
const GENERATION: u32 = 300;
const ACCOUNTS: u32 = 8;
/// What each account holds at first.
const EACH: i64 = 1_000;
/// Clients of a node on lists, and as many on accounts.
const CLIENTS_PER_NODE: usize = 2;
/// Sendings of one request.
const ATTEMPTS: usize = 5;
/// Longest time for the last look at everything.
const LIVENESS: Duration = Duration::from_secs(60);

/// What the clients share.
pub struct TxnLoad {
    api: TxnApi,
    rngs: Box<dyn Rngs>,
    book: Mutex<Book>,
    appends: AtomicU32,
    is_over: AtomicBool,
}

/// A key whose first byte spreads a kind of data over all Regions.
fn key(kind: &str, number: u32) -> Json {
    let first = u8::try_from(number * 53 % 256).unwrap();
    let name: String = format!("{kind} {number}").bytes().map(|b| format!("{b:02x}")).collect();
    json!({ "hex": format!("{first:02x}{name}") })
}

fn list_of(item: &Json) -> Vec<u64> {
    let Some(text) = item["value"].as_str() else { return Vec::new() };
    text.split(',').map(|number| number.parse().expect("a client's number")).collect()
}

fn text_of(list: &[u64], new: u64) -> String {
    let numbers: Vec<String> = list.iter().chain([&new]).map(ToString::to_string).collect();
    numbers.join(",")
}

fn reads(lists: &[u32], items: &Json) -> Vec<ListStep> {
    let items = items.as_array().expect("an answer for each key");
    lists.iter().zip(items).map(|(list, item)| ListStep::Read(*list, list_of(item))).collect()
}

impl TxnLoad {
    /// Clients of nodes that listen at `urls`, with choices from `rngs`.
    #[must_use]
    pub fn new(urls: Vec<String>, rngs: Box<dyn Rngs>) -> Arc<Self> {
        Arc::new(Self {
            api: TxnApi::new(urls),
            rngs,
            book: Mutex::default(),
            appends: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    /// How they reach the nodes.
    #[must_use]
    pub fn api(&self) -> &TxnApi {
        &self.api
    }

    /// How many transactions ended how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.book.lock().unwrap().counts()
    }

    /// Is all that the clients saw as promised?
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        // A copy: judging takes a while.
        let book = self.book.lock().unwrap().clone();
        book.verdict(i64::from(ACCOUNTS) * EACH)
    }

    /// Opens the accounts, and starts the clients. They end after [`TxnLoad::stop`].
    ///
    /// # Errors
    /// The accounts cannot be opened.
    pub async fn start(self: &Arc<Self>) -> Result<Vec<JoinHandle<()>>, String> {
        let put =
            |number| json!({"put": {"key": key("account", number), "value": EACH.to_string()}});
        let body = json!({ "then": (0..ACCOUNTS).map(put).collect::<Vec<_>>() });
        let deadline = Instant::now() + LIVENESS;
        let patience = Duration::from_secs(5);
        while self.api.post(0, "/v1/txn", (&body, Some("bank")), patience).await.fate()
            != Fate::Committed
        {
            if Instant::now() > deadline {
                return Err("the accounts cannot be opened".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let clients = self.api.nodes.count() * CLIENTS_PER_NODE;
        let lists = (0..clients).map(|client| tokio::spawn(self.clone().on_lists(client)));
        let bank = (0..clients).map(|client| tokio::spawn(self.clone().on_accounts(client)));
        Ok(lists.chain(bank).collect())
    }

    /// Lets the clients end after what they do.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    async fn on_lists(self: Arc<Self>, client: usize) {
        let mut rng = self.rngs.rng(&format!("list client {client}"));
        let number = u32::try_from(client).unwrap();
        let mut written = 0;
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(rng.between(20, 120))).await;
            let first = self.appends.load(Ordering::SeqCst) / GENERATION * LISTS;
            let count = rng.between(1, 4);
            let lists = some(&mut *rng, count, LISTS);
            let lists: Vec<u32> = lists.into_iter().map(|list| first + list).collect();
            let Some(items) = self.read_lists(&mut *rng, number, &lists).await else { continue };
            if rng.between(0, 100) < 60 {
                written += 1;
                let value = u64::from(number + 1) * 10_000_000 + written * 10;
                self.append(&mut *rng, (number, value), (&lists, &items)).await;
            }
        }
    }

    fn begin(&self, client: u32, level: Level, steps: Vec<ListStep>) -> ListId {
        self.book.lock().unwrap().begin(ListTxn::begun(client, level, steps))
    }

    async fn read_lists(&self, rng: &mut dyn Rng, client: u32, lists: &[u32]) -> Option<Json> {
        let keys: Vec<Json> = lists.iter().map(|list| key("list", *list)).collect();
        let id = self.begin(client, Level::Snapshot, Vec::new());
        let (node, patience) = (self.node(rng), patience(rng));
        let path = match rng.between(0, 3) {
            0 => "/v1/kv/get?consistency=follower",
            _ => "/v1/kv/get",
        };
        let heard = self.api.post(node, path, (&json!({ "keys": keys }), None), patience).await;
        let mut book = self.book.lock().unwrap();
        let Heard::Answer(answer) = heard else {
            book.end(id, Fate::Failed, ListEnd::default());
            return None;
        };
        let steps = Some(reads(lists, &answer["items"]));
        let read_ts = timestamp(&answer["read_ts"]);
        book.end(id, Fate::Committed, ListEnd { steps, read_ts, commit_ts: None });
        Some(answer["items"].clone())
    }

    /// Appends to the lists if they are as they were; otherwise reads them.
    async fn append(
        &self,
        rng: &mut dyn Rng,
        (client, value): (u32, u64),
        (lists, items): (&[u32], &Json),
    ) {
        self.appends.fetch_add(1, Ordering::SeqCst);
        let is_pessimistic = rng.between(0, 3) == 0;
        let isolation = if rng.between(0, 4) == 0 { "serializable" } else { "snapshot" };
        let commit = ["auto", "async", "two_phase"][usize::try_from(rng.between(0, 3)).unwrap()];
        let split = 1 + usize::try_from(rng.between(0, lists.len() as u64)).unwrap();
        let is_serializable = is_pessimistic || isolation == "serializable";
        let level = if is_serializable { Level::Serializable } else { Level::Snapshot };
        let (written, others) = lists.split_at(split);
        let appends: Vec<ListStep> =
            (value..).zip(written).map(|(value, list)| ListStep::Append(*list, value)).collect();
        let condition = |i: usize| json!({"key": key("list", lists[i]), "version": items[i]["version"].as_str().unwrap_or("0")});
        let put = |i: usize| json!({"put": {"key": key("list", lists[i]), "value": text_of(&list_of(&items[i]), value + i as u64)}});
        let get =
            |list: &u32| json!({"get": {"key": key("list", *list), "for_update": is_pessimistic}});
        let then: Vec<Json> = others.iter().map(get).chain((0..split).map(put)).collect();
        let body = json!({
            "if": (0..split).map(condition).collect::<Vec<_>>(),
            "then": then,
            "else": written.iter().map(get).collect::<Vec<_>>(),
            "mode": if is_pessimistic { "pessimistic" } else { "optimistic" },
            "isolation": isolation,
            "commit": commit,
        });
        let id = self.begin(client, level, appends.clone());
        let name = (rng.between(0, 2) == 0).then(|| format!("append-{value}"));
        let heard = self.send(rng, &body, name.as_deref()).await;
        let mut book = self.book.lock().unwrap();
        let Heard::Answer(answer) = &heard else {
            book.end(id, heard.fate(), ListEnd::default());
            return;
        };
        let at = timestamp(&answer["commit_ts"]);
        let wrote = answer["succeeded"] == true;
        let steps = if wrote {
            let before = written
                .iter()
                .zip(0..)
                .map(|(list, i): (&u32, usize)| ListStep::Read(*list, list_of(&items[i])));
            before.chain(reads(others, &answer["results"])).chain(appends).collect()
        } else {
            reads(written, &answer["results"])
        };
        // A record of the request is a write, too.
        let commit_ts = at.filter(|_| wrote || name.is_some());
        book.end(id, Fate::Committed, ListEnd { steps: Some(steps), read_ts: None, commit_ts });
    }

    async fn on_accounts(self: Arc<Self>, client: usize) {
        let mut rng = self.rngs.rng(&format!("bank client {client}"));
        let mut sent = 0;
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(rng.between(20, 120))).await;
            if rng.between(0, 100) < 40 {
                let node = self.node(&mut *rng);
                let patience = patience(&mut *rng);
                let fate = if self.count_money(node, patience).await {
                    Fate::Committed
                } else {
                    Fate::Failed
                };
                self.book.lock().unwrap().count(fate);
                continue;
            }
            sent += 1;
            let name = (rng.between(0, 2) == 0).then(|| format!("transfer-{client}-{sent}"));
            let pair = some(&mut *rng, 2, ACCOUNTS);
            let amount = i64::try_from(rng.between(1, 100)).unwrap();
            let add = |number, by| json!({"add": {"key": key("account", number), "by": by}});
            let body = json!({
                "if": [{"key": key("account", pair[0]), "value": {"ge_int": amount}}],
                "then": [add(pair[0], -amount), add(pair[1], amount)],
                "mode": if rng.between(0, 3) == 0 { "pessimistic" } else { "optimistic" },
            });
            let heard = self.send(&mut *rng, &body, name.as_deref()).await;
            self.book.lock().unwrap().count(heard.fate());
        }
    }

    /// All accounts of one moment; answers whether `node` served.
    async fn count_money(&self, node: usize, patience: Duration) -> bool {
        let keys: Vec<Json> = (0..ACCOUNTS).map(|number| key("account", number)).collect();
        let body = json!({ "keys": keys });
        let Heard::Answer(answer) =
            self.api.post(node, "/v1/kv/get", (&body, None), patience).await
        else {
            return false;
        };
        let items = answer["items"].as_array().expect("an answer for each key");
        let balance = |item: &Json| item["value"].as_str().and_then(|text| text.parse().ok());
        let accounts = items.iter().map(balance).collect();
        let how = format!("{} by node {}", answer["read_ts"], node + 1);
        self.book.lock().unwrap().saw_accounts(Balances { how, accounts });
        true
    }

    /// Sends a transaction; under a name as often as is needed, through any node.
    async fn send(&self, rng: &mut dyn Rng, body: &Json, name: Option<&str>) -> Heard {
        let attempts = if name.is_some() { ATTEMPTS } else { 1 };
        let mut known = Heard::Refused;
        for _ in 0..attempts {
            let (node, patience) = (self.node(rng), patience(rng));
            let heard = self.api.post(node, "/v1/txn", (body, name), patience).await;
            if let Some(name) = name {
                self.note_attempt(name, &heard);
            }
            known = match (known, heard) {
                (done @ Heard::Answer(_), _) | (_, done @ Heard::Answer(_)) => done,
                (Heard::Unknown, _) | (_, Heard::Unknown) => Heard::Unknown,
                (Heard::Refused, Heard::Refused) => Heard::Refused,
            };
            if matches!(known, Heard::Answer(_)) && rng.between(0, 100) < 70 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(rng.between(10, 500))).await;
        }
        known
    }

    fn note_attempt(&self, name: &str, heard: &Heard) {
        let answer = match heard {
            Heard::Answer(answer) => answer,
            Heard::Refused | Heard::Unknown => &Json::Null,
        };
        self.book.lock().unwrap().sent(Attempt {
            key: name.to_owned(),
            fate: heard.fate(),
            commit_ts: timestamp(&answer["commit_ts"]),
            succeeded: answer["succeeded"] == true,
            repeated: answer["repeated"] == true,
        });
    }

    fn node(&self, rng: &mut dyn Rng) -> usize {
        usize::try_from(rng.between(0, self.api.nodes.count() as u64)).unwrap()
    }

    /// Once no fault is left: every node serves all accounts and lists, no lock stays, and every replica
    /// is where its leader is.
    ///
    /// # Errors
    /// What is not so in time.
    pub async fn last_look(&self) -> Result<(), String> {
        let patience = Duration::from_secs(5);
        let last = self.appends.load(Ordering::SeqCst) / GENERATION * LISTS;
        for node in 0..self.api.nodes.count() {
            until("accounts are served", || self.count_money(node, patience)).await?;
            let lists: Vec<u32> = (0..last + LISTS).collect();
            for some in lists.chunks(50) {
                let read = || async {
                    let mut rng = self.rngs.rng("last look");
                    self.read_lists(&mut *rng, 1_000, some).await.is_some()
                };
                until("lists are served", read).await?;
            }
        }
        let is_free = || async {
            let resolved =
                self.api.post(0, "/v1/locks/resolve", (&json!({}), None), patience).await;
            let listed = self.api.get(0, "/v1/locks").await;
            match (resolved, listed) {
                (Heard::Answer(_), Heard::Answer(answer)) => {
                    answer["items"].as_array().is_some_and(Vec::is_empty)
                }
                _ => false,
            }
        };
        until("no lock is left", is_free).await?;
        for node in 0..self.api.nodes.count() {
            let path = "/v1/kv/scan?consistency=follower&limit=1000";
            let is_level = || async { matches!(self.api.get(node, path).await, Heard::Answer(_)) };
            until("replicas are level", is_level).await?;
        }
        Ok(())
    }
}

async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) -> Result<(), String> {
    let deadline = Instant::now() + LIVENESS;
    while !is_so().await {
        if Instant::now() > deadline {
            return Err(format!("not so within {} s: {what}", LIVENESS.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn patience(rng: &mut dyn Rng) -> Duration {
    Duration::from_millis(rng.between(1_000, 4_000))
}

/// `count` different numbers below `high`.
fn some(rng: &mut dyn Rng, count: u64, high: u32) -> Vec<u32> {
    let mut rest: Vec<u32> = (0..high).collect();
    let take = |_| rest.swap_remove(usize::try_from(rng.between(0, rest.len() as u64)).unwrap());
    (0..count).map(take).collect()
}
