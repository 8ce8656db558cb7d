//! Loads against a small server that stands still when it is told to.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]
use super::*;
use crate::bench::client::Protocol;
use crate::bench::http::Head;
use crate::bench::options::Space;
use crate::bench::options::Workload;
use crate::bench::recorder::Latency;
use crate::clock::now;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Condvar, Mutex};

const RATE: u32 = 500;
const STALL: Duration = Duration::from_millis(400);
/// Before and after the stall.
const FLOW: Duration = Duration::from_millis(150);

/// Answers each request with `answer`, unless it stands still. Its threads end with the test.
struct Server {
    address: String,
    still: Arc<(Mutex<bool>, Condvar)>,
}

impl Server {
    fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let still = Arc::new((Mutex::new(false), Condvar::new()));
        let shared = Arc::clone(&still);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let still = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, answer, &still));
            }
        });
        Self { address, still }
    }

    fn stand_still(&self, still: bool) {
        *self.still.0.lock().unwrap() = still;
        self.still.1.notify_all();
    }
}

fn serve(mut stream: TcpStream, answer: &str, still: &(Mutex<bool>, Condvar)) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..read]);
        let whole = Head::parse(&bytes).unwrap().filter(|head| head.total() <= bytes.len());
        if let Some(total) = whole.map(|head| head.total()) {
            bytes.drain(..total);
            drop(still.1.wait_while(still.0.lock().unwrap(), |still| *still).unwrap());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn data() -> Arc<Data> {
    Arc::new(Data {
        keys: Keys::new("", 10),
        accounts: Accounts::new(Keys::others("", 10), Vec::new()),
        values: Values::new(1, 16),
        next_write: AtomicU64::new(1),
        origin: now(),
    })
}

/// Runs a load for as long as `during` takes; answers also how many requests were left unanswered.
async fn run(
    server: &Server,
    plan: CellPlan,
    during: impl Future<Output = ()>,
) -> (Recorder, Books, u64) {
    let aim = Aim {
        protocol: Protocol::Http,
        addresses: vec![server.address.clone()],
        routes: None,
        threads: 2,
        grpc_connections: 1,
        seed: 1,
    };
    let data = data();
    let load = Load::start(&aim, plan, &data).await.unwrap();
    load.window.open(data.now());
    during.await;
    load.window.close(data.now());
    let waited = now();
    let open = || load.arrivals.as_ref().map_or(0, |arrivals| arrivals.open());
    while open() > 0 && waited.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let unanswered = open();
    let (recorder, books) = load.stop().await.unwrap();
    (recorder, books, unanswered)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn with_a_stall(rate: Option<u32>) -> Latency {
    let server = Server::start(OK);
    let stall = async {
        tokio::time::sleep(FLOW).await;
        server.stand_still(true);
        tokio::time::sleep(STALL).await;
        server.stand_still(false);
        tokio::time::sleep(FLOW).await;
    };
    let plan = CellPlan { workload: Workload::Put, clients: 4, rate };
    let (recorder, _, unanswered) = run(&server, plan, stall).await;
    assert_eq!((recorder.errors, unanswered), (0, 0));
    assert!(recorder.operations > 50, "{recorder:?}");
    recorder.latency()
}

/// Of 350 requests that are due, 200 are due while the server stands still; a closed loop only has
/// the four that it was waiting for.
#[tokio::test]
async fn an_open_loop_charges_a_stall_to_all_requests_that_were_due() {
    let (open, closed) = (with_a_stall(Some(RATE)).await, with_a_stall(None).await);
    let half = STALL.as_secs_f64() * 1e6 / 2.0;
    assert!(open.p95 > half, "{open:?}");
    assert!(closed.p95 < half && closed.max > half, "{closed:?}");
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate() {
    let server = Server::start(OK);
    let plan = CellPlan { workload: Workload::Put, clients: 4, rate: Some(RATE) };
    let started = now();
    let pause = tokio::time::sleep(Duration::from_millis(500));
    let (recorder, mut books, _) = run(&server, plan, pause).await;
    let most = started.elapsed().as_secs_f64() * f64::from(RATE) + 1.0;
    let answered = recorder.operations as f64;
    assert!(answered > 100.0 && answered <= most, "{answered} of at most {most}");
    assert!((0..10).all(|key| books.values(Space::Raw).is_written(key)));
}

#[tokio::test]
async fn errors_are_counted_and_leave_writes_in_doubt() {
    let server = Server::start("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy");
    let plan = CellPlan { workload: Workload::Put, clients: 2, rate: None };
    let pause = tokio::time::sleep(Duration::from_millis(200));
    let (recorder, mut books, _) = run(&server, plan, pause).await;
    assert!(recorder.errors > 0 && recorder.errors == recorder.operations, "{recorder:?}");
    assert_eq!(recorder.first_error.as_deref(), Some("HTTP status 503: busy"));
    assert_eq!(recorder.latency(), Latency::default());
    let ledger = books.values(Space::Raw);
    assert!((0..10).all(|key| !ledger.is_written(key) && ledger.allows(key, None)));
}

#[tokio::test]
async fn a_get_that_finds_nothing_of_the_right_length_is_an_error() {
    let server = Server::start(OK);
    let plan = CellPlan { workload: Workload::Get, clients: 1, rate: None };
    let pause = tokio::time::sleep(Duration::from_millis(200));
    let (recorder, _, _) = run(&server, plan, pause).await;
    assert!(recorder.errors > 0 && recorder.errors == recorder.operations, "{recorder:?}");
}

#[tokio::test]
async fn nobody_listening_is_an_error() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let aim = Aim {
        protocol: Protocol::Http,
        addresses: vec![free],
        routes: None,
        threads: 1,
        grpc_connections: 1,
        seed: 1,
    };
    let plan = CellPlan { workload: Workload::Get, clients: 1, rate: None };
    let refused = Load::start(&aim, plan, &data()).await.map(drop);
    assert!(refused.is_err_and(|error| error.to_string().contains("cannot connect")));
}
