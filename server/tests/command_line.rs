//! The `troupe` program as scripts use it: exit codes, stdout and stderr, against a server that
//! answers what each test tells it to.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread::JoinHandle;

/// Answers one connection and gives back what was asked.
struct Server {
    url: String,
    thread: JoinHandle<String>,
}

impl Server {
    fn answering(reply: impl FnOnce(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let request = read_request(&mut stream);
            reply(&mut stream);
            request
        });
        Self { url, thread }
    }

    fn with(status: &'static str, body: &'static str) -> Self {
        Self::answering(move |stream| {
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        })
    }

    fn asked(self) -> String {
        self.thread.join().unwrap()
    }
}

/// Head and body, the latter as it comes on the wire.
fn read_request(stream: &mut TcpStream) -> String {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut request, mut length, mut chunked) = (String::new(), 0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let lower = line.to_lowercase();
        if let Some(number) = lower.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
        chunked |= lower.starts_with("transfer-encoding: chunked");
        request.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    request.push_str(&String::from_utf8_lossy(&body));
    while chunked && !request.ends_with("\r\n0\r\n\r\n") {
        reader.read_line(&mut request).unwrap();
    }
    request
}

fn troupe(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(arguments)
        .env_remove("TROUPE_URL")
        .env_remove("TROUPE_CONFIG")
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn get_prints_the_value_and_nothing_else() {
    let server = Server::with("200 OK", r#"{"key":"a/b","value":"two words","etag":"00"}"#);
    let output = troupe(&["kv", "get", "a/b", "--timeout", "2s", "--url", &server.url]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "two words\n"), "{output:?}");
    let asked = server.asked();
    assert!(asked.starts_with("GET /v1/raw/keys/a%2Fb HTTP/1.1\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("kv-timeout: 2s\r\n"), "{asked}");
}

#[test]
fn a_problem_goes_to_stderr_and_decides_the_exit_code() {
    let cases = [
        ("404 Not Found", r#"{"code":"KEY_NOT_FOUND","title":"No value","status":404}"#, 3),
        ("412 Precondition Failed", r#"{"code":"CAS_MISMATCH","title":"No","status":412}"#, 4),
        ("503 Service Unavailable", r#"{"code":"NO_QUORUM","title":"No","status":503}"#, 5),
        ("504 Gateway Timeout", r#"{"code":"OUTCOME_UNKNOWN","title":"?","status":504}"#, 7),
        ("502 Bad Gateway", "<html>", 1),
    ];
    for (status, body, expected) in cases {
        let server = Server::with(status, body);
        let output = troupe(&["kv", "put", "k", "v", "--url", &server.url]);
        assert_eq!(code(&output), expected, "{output:?}");
        assert_eq!(stdout(&output), "");
        assert!(stderr(&output).starts_with("troupe: "), "{output:?}");
        assert!(server.asked().ends_with("\r\n\r\nv"));
    }
}

#[test]
fn no_server_is_unavailable_and_names_a_remedy() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = troupe(&["kv", "put", "k", "v", "--url", &free.to_string()]);
    assert_eq!(code(&output), 5);
    assert!(stderr(&output).contains("troupe demo"), "{output:?}");
}

#[test]
fn a_connection_lost_after_a_write_was_sent_leaves_its_outcome_unknown() {
    let write = Server::answering(|_| {});
    assert_eq!(code(&troupe(&["kv", "put", "k", "v", "--url", &write.url])), 7);
    let read = Server::answering(|_| {});
    assert_eq!(code(&troupe(&["kv", "get", "k", "--url", &read.url])), 5);
}

#[test]
fn a_comparison_that_fails_is_a_conflict_and_its_answer_is_data() {
    let server = Server::with("200 OK", r#"{"succeeded":false,"previous":"2"}"#);
    let arguments = ["kv", "cas", "n", "3", "--expect", "1", "-o", "ndjson", "--url", &server.url];
    let output = troupe(&arguments);
    assert_eq!(code(&output), 4, "{output:?}");
    assert!(stdout(&output).contains(r#""previous":"2""#));
    assert!(server.asked().contains(r#""expect":{"value":"1"}"#));
}

#[test]
fn a_batch_with_failures_is_partial() {
    let body = r#"{"deleted":1,"failed":[{"key":"b","code":"NO_QUORUM","detail":"x"}]}"#;
    let server = Server::with("207 Multi-Status", body);
    let output = troupe(&["kv", "del", "a", "b", "--url", &server.url]);
    assert_eq!(code(&output), 6, "{output:?}");
}

#[test]
fn import_streams_a_file_and_reports_the_last_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let rows: String = (0..50_000).map(|i| format!("{{\"key\":\"k{i}\",\"value\":1}}\n")).collect();
    std::fs::write(file.path(), &rows).unwrap();
    let body = "{\"rows\":10,\"bytes\":90}\n\
                {\"done\":true,\"rows\":50000,\"bytes\":900,\"checksum\":\"00ff\"}\n";
    let server = Server::with("200 OK", body);
    let path = file.path().to_str().unwrap();
    let output = troupe(&["kv", "import", path, "-o", "ndjson", "--url", &server.url]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(stdout(&output).contains(r#""rows":50000"#));
    assert!(stderr(&output).contains("import: 50000 rows"), "{output:?}");
    assert!(server.asked().contains("{\"key\":\"k49999\",\"value\":1}\n"));
}

#[test]
fn an_import_that_stops_midway_is_partial_and_says_where() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{}\n").unwrap();
    let body = "{\"error\":{\"code\":\"BAD_JSON\",\"title\":\"t\",\"status\":400},\
                \"rows\":7,\"line\":8}\n";
    let server = Server::with("200 OK", body);
    let path = file.path().to_str().unwrap();
    let output = troupe(&["kv", "import", path, "--url", &server.url]);
    assert_eq!(code(&output), 6, "{output:?}");
    assert!(stderr(&output).contains("7 rows were imported (line 8)"), "{output:?}");
    server.asked();
}

#[test]
fn export_writes_rows_and_checks_their_number() {
    let rows = "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n";
    let cases = [
        ("{\"done\":true,\"rows\":2,\"checksum\":\"00\"}\n", 0),
        ("{\"done\":true,\"rows\":3,\"checksum\":\"00\"}\n", 1),
        ("{\"error\":{\"code\":\"NO_QUORUM\",\"title\":\"t\",\"status\":503}}\n", 6),
        ("", 6),
    ];
    for (last, expected) in cases {
        let body: &'static str = Box::leak(format!("{rows}{last}").into_boxed_str());
        let server = Server::with("200 OK", body);
        let output = troupe(&["kv", "export", "--prefix", "", "--url", &server.url]);
        assert_eq!((code(&output), stdout(&output).as_str()), (expected, rows), "{output:?}");
        assert!(server.asked().to_lowercase().contains("accept: application/x-ndjson\r\n"));
    }
}

#[test]
fn what_cannot_be_undone_needs_yes_where_nobody_can_be_asked() {
    let output = Command::new(env!("CARGO_BIN_EXE_troupe"))
        .args(["kv", "delete-range", "--prefix", "a"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--yes"), "{output:?}");
}

#[test]
fn show_curl_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let words = ["ctl", "region", "move-peer", "7", "--from", "1", "--to", "4", "--show-curl"];
    let shown = troupe(&[&words[..], &["--url", &address]].concat());
    assert_eq!(code(&shown), 0);
    assert!(stdout(&shown).starts_with("curl -sS "), "{shown:?}");
    assert!(listener.accept().is_err(), "it connected");
}

#[test]
fn init_writes_a_file_that_start_accepts_and_does_not_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("troupe.toml");
    let path = file.to_str().unwrap();
    assert_eq!(code(&troupe(&["init", path])), 0);
    assert_eq!(code(&troupe(&["start", "--config", path, "--check-config"])), 0);
    assert_eq!(code(&troupe(&["ctl", "config", "check", path])), 0);
    assert_eq!(code(&troupe(&["init", path])), 74);
    assert_eq!(code(&troupe(&["init", path, "--force"])), 0);
}

#[test]
fn a_wrong_configuration_ends_with_its_exit_code_and_all_findings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("troupe.toml");
    std::fs::write(&file, "[raft]\ntick = \"1s\"\nlease = \"10s\"\n[http]\nworkers = 0\n").unwrap();
    let output = troupe(&["start", "--config", file.to_str().unwrap(), "--check-config"]);
    assert_eq!(code(&output), 78);
    let told = stderr(&output);
    assert!(told.contains("raft.lease") && told.contains("http.workers"), "{told}");
}

#[test]
fn explain_names_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("troupe.toml");
    std::fs::write(&file, "[raft]\n\ntick = \"2s\"\n").unwrap();
    let path = file.to_str().unwrap();
    let output =
        troupe(&["ctl", "config", "explain", "raft.tick", "--config", path, "-o", "ndjson"]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(stdout(&output).contains(&format!("\"from\":\"{path}:3\"")), "{output:?}");
}

#[test]
fn completions_are_printed_for_each_shell() {
    for (shell, part) in [("bash", "_troupe()"), ("zsh", "#compdef troupe"), ("fish", "complete")] {
        let output = troupe(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains(part), "{shell}");
    }
}

/// A result of `troupe bench run` with one measurement of so many requests a second.
fn bench_result(ops_per_second: f64) -> String {
    let latency = r#"{"mean":1.0,"p50":1.0,"p95":1.0,"p99":1.0,"p999":1.0,"max":1.0}"#;
    format!(
        r#"{{"schema":"troupe-bench/1","started":0,"command":"troupe bench run","machine":{{
        "cores":1,"cpu":"c","memory_bytes":1,"kernel":"k","file_system":"f","build":"dev",
        "commit":""}},"versions":{{}},"keys":1,"regions":1,"warm_up_seconds":0,"ceilings":[],
        "repetitions":[{{"target":"troupe","protocol":"http","number":1,"value_bytes":256,
        "disk_sync_us":1,"load_average":0,"verified":1,"wrong":0,"cells":[{{"workload":"put",
        "clients":1,"seconds":1,"operations":9,"errors":0,"unanswered":0,
        "ops_per_second":{ops_per_second},"latency_us":{latency},"client_cpu_us":1}}]}}]}}"#
    )
}

#[test]
fn bench_compare_fails_if_something_became_worse_and_says_what() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, ops| {
        let path = folder.path().join(name);
        std::fs::write(&path, bench_result(ops)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (fast, slow) = (file("fast.json", 1000.0), file("slow.json", 500.0));
    let worse = troupe(&["bench", "compare", &fast, &slow]);
    assert_eq!(code(&worse), 1, "{worse:?}");
    assert!(stdout(&worse).contains("-50.0 % WORSE"), "{worse:?}");
    let better = troupe(&["bench", "compare", &slow, &fast, "-o", "json"]);
    assert_eq!(code(&better), 0, "{better:?}");
    assert!(stdout(&better).contains(r#""verdict": "better""#), "{better:?}");
}

#[test]
fn bench_report_writes_a_page_and_refuses_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("r.json"), folder.path().join("page"));
    let arguments = ["bench", "report", file.to_str().unwrap(), "--out", out.to_str().unwrap()];
    std::fs::write(&file, "{}").unwrap();
    assert_eq!(code(&troupe(&arguments)), 1);
    std::fs::write(&file, bench_result(1000.0)).unwrap();
    let output = troupe(&arguments);
    assert_eq!(code(&output), 0, "{output:?}");
    let page = std::fs::read_to_string(out.join("RESULTS.md")).unwrap();
    assert!(page.contains("| 256 | put, 1 client | troupe | 1,000 |"), "{page}");
    assert!(out.join("throughput-256.svg").is_file());
}

#[test]
fn bench_refuses_what_it_cannot_measure() {
    let run = |more: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("r.json");
        let out = out.to_str().unwrap();
        let arguments = ["bench", "run", "--targets", "running", "--no-ceiling", "--out", out];
        code(&troupe(&[&arguments, more].concat()))
    };
    assert_eq!(run(&["--clients", "0"]), 2);
    assert_eq!(run(&["--value-bytes", "4"]), 2);
    assert_eq!(run(&["--open-only"]), 2);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(run(&["--url", &free.to_string()]), 5);
}

const COMMITTED: &str = r#"{"succeeded":true,"commit_ts":"9","committed_by":"async","attempts":1,"results":[{"key":"a","value":"5"}]}"#;

#[test]
fn a_transaction_is_sent_as_it_stands_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pay.json");
    let body = r#"{"then":[{"add":{"key":"a","by":5}}]}"#;
    std::fs::write(&file, body).unwrap();
    let server = Server::with("200 OK", COMMITTED);
    let file = file.to_str().unwrap();
    let output = troupe(&["txn", "run", file, "--idempotency-key", "pay-1", "--url", &server.url]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(stdout(&output).contains("commit_ts: 9"), "{output:?}");
    let asked = server.asked();
    assert!(asked.starts_with("POST /v1/txn HTTP/1.1"), "{asked}");
    assert!(asked.contains("idempotency-key: \"pay-1\"") && asked.contains(body), "{asked}");
}

#[test]
fn flags_of_a_transaction_stand_beside_what_its_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pay.json");
    std::fs::write(&file, r#"{"then":[{"delete":{"key":"a"}}]}"#).unwrap();
    let server = Server::with("200 OK", r#"{"succeeded":false,"results":[]}"#);
    let file = file.to_str().unwrap();
    let output = troupe(&["txn", "run", file, "--mode", "pessimistic", "--url", &server.url]);
    assert_eq!(code(&output), 4, "the conditions did not hold: {output:?}");
    let asked = server.asked();
    let sent = r#"{"mode":"pessimistic","then":[{"delete":{"key":"a"}}]}"#;
    assert!(asked.ends_with(sent), "{asked}");
}

#[test]
fn the_id_of_a_transaction_is_all_that_begin_prints() {
    let server = Server::with("201 Created", r#"{"txn":"tx_1-2-3","state":"open","keys":0}"#);
    let output = troupe(&["txn", "begin", "--url", &server.url]);
    assert_eq!((code(&output), stdout(&output)), (0, "tx_1-2-3\n".to_owned()));
    assert!(server.asked().starts_with("POST /v1/txns HTTP/1.1"));
}

#[test]
fn a_refused_transaction_tells_what_is_in_the_way_and_what_to_do() {
    let problem = r#"{"status":409,"code":"WRITE_CONFLICT","title":"Another transaction changed this key first","detail":"key \"a\" was committed at 9","retryable":true,"retry":{"how":"new_transaction","after_ms":10},"context":{"key":"a"}}"#;
    let server = Server::with("409 Conflict", problem);
    let output = troupe(&["txn", "commit", "tx_1-2-3", "--url", &server.url]);
    assert_eq!(code(&output), 4);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let parts = [
        "WRITE_CONFLICT",
        "was committed at 9",
        "key: \"a\"",
        "may be tried again in a new transaction",
        "what to do: Begin a new",
    ];
    for part in parts {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn a_commit_that_is_still_open_has_an_outcome_that_is_not_known() {
    let server = Server::with("200 OK", r#"{"txn":"tx_1-2-3","state":"committing"}"#);
    let output = troupe(&["txn", "commit", "tx_1-2-3", "--url", &server.url]);
    assert_eq!(code(&output), 7);
    assert!(String::from_utf8_lossy(&output.stderr).contains("troupe txn status tx_1-2-3"));
}

#[test]
fn keys_of_the_transactional_space_come_with_their_versions() {
    let items = r#"{"items":[{"key":"a","value":"1","version":"77"},{"key":"b","missing":true}],"read_ts":"80"}"#;
    let server = Server::with("200 OK", items);
    let output =
        troupe(&["kv", "get", "a", "b", "--space", "kv", "--at", "-5s", "--url", &server.url]);
    assert_eq!(code(&output), 3, "one is missing: {output:?}");
    let printed = stdout(&output);
    let rows: Vec<Vec<&str>> = printed.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows, [vec!["KEY", "VALUE", "VERSION"], vec!["a", "1", "77"], vec!["b", "-", "-"]]);
    let asked = server.asked();
    assert!(asked.starts_with("POST /v1/kv/get HTTP/1.1"), "{asked}");
    assert!(asked.contains(r#""at":"-5s""#), "{asked}");
}

#[test]
fn a_history_is_a_row_a_version_and_the_lock_is_talk() {
    let body = r#"{"key":"a","lock":{"start_ts":"5","kind":"put","age_ms":3,"expired":false},"versions":[{"kind":"put","start_ts":"1","commit_ts":"2","value":"v"}]}"#;
    let server = Server::with("200 OK", body);
    let output = troupe(&["kv", "history", "a", "--url", &server.url]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(
        stdout(&output).lines().nth(1).unwrap().split_whitespace().eq(["2", "put", "1", "-", "v"])
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("locked by"), "{output:?}");
    assert!(server.asked().starts_with("GET /v1/kv/history/a HTTP/1.1"));
}
