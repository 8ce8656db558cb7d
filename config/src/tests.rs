//! Layers, suggestions, rules and the sample file.
use crate::sample::sample;
use crate::{ByteSize, Config, ConfigError, Layers, Origin};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

fn load(file: &str, variables: &[(&str, &str)]) -> Result<crate::Loaded, ConfigError> {
    let mut layers = Layers::new();
    layers.file("troupe.toml", file)?;
    let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    layers.environment(owned)?;
    layers.load()
}

#[test]
fn defaults_and_the_fast_clock_are_valid() {
    Config::default().validate().unwrap();
    Config::default().fast_clock().validate().unwrap();
}

#[test]
fn a_later_layer_counts_more_and_is_named() {
    let file = "[raft]\ntick = \"500ms\"\nlease = \"4s\"\nbatch-commands = 7\n";
    let mut layers = Layers::new();
    layers.file("troupe.toml", file).unwrap();
    let variables = [("TROUPE__RAFT__TICK", "200ms"), ("TROUPE__RAFT__LEASE", "1s"), ("HOME", "x")];
    let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    layers.environment(owned).unwrap();
    layers.flag("--lease", "raft.lease", "900ms").unwrap();
    let loaded = layers.load().unwrap();

    assert_eq!(loaded.config.raft.batch_commands, 7);
    assert_eq!(loaded.config.raft.tick, Duration::from_millis(200));
    assert_eq!(loaded.config.raft.lease, Duration::from_millis(900));
    assert_eq!(loaded.config.raft.election_ticks, 10);
    assert_eq!(loaded.origin("raft.batch-commands").to_string(), "troupe.toml:4");
    assert_eq!(loaded.origin("raft.tick").to_string(), "environment TROUPE__RAFT__TICK");
    assert_eq!(loaded.origin("raft.lease").to_string(), "flag --lease");
    assert_eq!(loaded.origin("raft.election-ticks"), Origin::Default);
}

#[test]
fn a_written_configuration_reads_back_equal() {
    let mut config = Config::default().fast_clock();
    config.node.labels.insert("zone".into(), "a b".into());
    config.cluster.join = vec!["127.0.0.1:1".into()];
    assert_eq!(load(&config.to_toml(), &[]).unwrap().config, config);
}

#[test]
fn explain_lists_every_key_with_its_value() {
    let loaded = load("[node]\nlabels = { zone = \"a\" }", &[]).unwrap();
    let explained = loaded.explain();
    let declared: usize = Config::SECTIONS.iter().map(|section| section.keys.len()).sum();
    assert_eq!(explained.len(), declared);
    let labels = explained.iter().find(|key| key.key == "node.labels").unwrap();
    assert_eq!(labels.value, "{ zone = \"a\" }");
    assert_eq!(labels.origin.to_string(), "troupe.toml:2");
    assert!(explained.iter().all(|key| !key.value.is_empty()));
}

#[test]
fn variables_take_lists_maps_numbers_and_switches() {
    let variables = [
        ("TROUPE__NODE__DATA", "/a, /b"),
        ("TROUPE__NODE__LABELS", "zone=a,rack=7"),
        ("TROUPE__NODE__INSECURE", "true"),
        ("TROUPE__CLUSTER__REPLICAS", "5"),
        ("TROUPE__STORAGE__BLOCK_CACHE", "2GiB"),
        ("TROUPE__NODE__ADVERTISE_HTTP", "db.example:1"),
        ("TROUPE__LOG__FORMAT", "json"),
    ];
    let config = load("", &variables).unwrap().config;
    assert_eq!(config.node.data, [Path::new("/a"), Path::new("/b")]);
    let labels = BTreeMap::from([("rack", "7"), ("zone", "a")].map(|(k, v)| (k.into(), v.into())));
    assert_eq!(config.node.labels, labels);
    assert!(config.node.insecure);
    assert_eq!(config.cluster.replicas, 5);
    assert_eq!(config.storage.block_cache, ByteSize(2 << 30));
    assert_eq!(config.node.reachable_http(), "db.example:1");
    assert_eq!(config.log.format, crate::LogFormat::Json);
}

#[test]
fn unknown_keys_are_all_reported_with_line_and_suggestion() {
    let file =
        "[raft]\ntikc = \"1s\"\n\n[storge]\nblock-cache = 1\n\n[node]\nblock-cache = 1\nzzz = 1";
    let told = load(file, &[]).unwrap_err().to_string();
    let expected = [
        "troupe.toml:2: there is no key `raft.tikc`; did you mean `raft.tick`?",
        "troupe.toml:4: there is no key `storge`; did you mean `storage`?",
        "troupe.toml:8: there is no key `node.block-cache`; did you mean `storage.block-cache`?",
        "troupe.toml:9: there is no key `node.zzz`",
    ];
    let mut lines: Vec<&str> = told.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn an_unknown_variable_is_reported_with_a_suggestion() {
    let told = load("", &[("TROUPE__RAFT__TICKS", "1s")]).unwrap_err().to_string();
    assert_eq!(
        told,
        "environment TROUPE__RAFT__TICKS: there is no key `raft.ticks`; did you mean `raft.tick`?"
    );
}

/// A file, variables, and how the error begins.
type Wrong = (&'static str, &'static [(&'static str, &'static str)], &'static str);

#[test]
fn a_wrong_value_names_its_key_and_place() {
    let cases: [Wrong; 6] = [
        ("[raft]\ntick = 5", &[], "troupe.toml:2: raft.tick: "),
        ("[raft]\nlease = \"1s\"\ntick = \"fast\"", &[], "troupe.toml:3: raft.tick: `fast` is not"),
        ("[limits]\nkey = -1", &[], "troupe.toml:2: limits.key: a size is not negative"),
        ("", &[("TROUPE__RAFT__TICK", "5")], "environment TROUPE__RAFT__TICK: raft.tick: `5` is"),
        ("", &[("TROUPE__HTTP__WORKERS", "x")], "environment TROUPE__HTTP__WORKERS: http.workers:"),
        ("", &[("TROUPE__NODE__LABELS", "x")], "environment TROUPE__NODE__LABELS: node.labels: "),
    ];
    for (file, variables, expected) in cases {
        let told = load(file, variables).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn broken_toml_names_its_line() {
    let error = load("[raft]\ntick = = 1\n", &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { line: 2, .. }), "{error:?}");
}

/// One change that breaks one rule, and the key that is blamed.
type Broken = (&'static str, fn(&mut Config));

const BROKEN: &[Broken] = &[
    ("node.http-address", |c| c.node.http_address = "20180".into()),
    ("node.http-address", |c| c.node.http_address = "[::1:5]:x".into()),
    ("node.http-address", |c| c.node.http_address = "192.168.0.1:20180".into()),
    ("node.grpc-address", |c| c.node.grpc_address = "db.example:20160".into()),
    ("node.grpc-address", |c| c.node.grpc_address = c.node.http_address.clone()),
    ("node.advertise-http", |c| {
        c.node.insecure = true;
        c.node.http_address = "0.0.0.0:20180".into();
    }),
    ("node.advertise-grpc", |c| c.node.advertise_grpc = Some("nowhere".into())),
    ("node.data", |c| c.node.data.clear()),
    ("node.data", |c| c.node.data.push("data".into())),
    ("cluster.name", |c| c.cluster.name = "two words".into()),
    ("cluster.name", |c| c.cluster.name.clear()),
    ("cluster.join", |c| c.cluster.join.push("host".into())),
    ("cluster.replicas", |c| c.cluster.replicas = 2),
    ("cluster.pd-replicas", |c| c.cluster.pd_replicas = 9),
    ("cluster.bootstrap-stores", |c| c.cluster.bootstrap_stores = 0),
    ("cluster.bootstrap-regions", |c| c.cluster.bootstrap_regions = 0),
    ("raft.heartbeat-ticks", |c| c.raft.heartbeat_ticks = 0),
    ("raft.election-ticks", |c| {
        c.raft.heartbeat_ticks = 10;
    }),
    ("raft.lease", |c| c.raft.lease = Duration::from_millis(9001)),
    ("raft.max-uncommitted-bytes", |c| c.raft.max_uncommitted_bytes = ByteSize::mib(7)),
    ("raft.batch-bytes", |c| c.raft.batch_bytes = ByteSize::mib(9)),
    ("limits.value", |c| c.raft.max_entry_bytes = ByteSize::mib(6)),
    ("limits.import-line", |c| c.limits.import_line = ByteSize::mib(7)),
    ("limits.body", |c| c.limits.body = ByteSize::mib(7)),
    ("limits.body", |c| c.limits.txn_bytes = ByteSize::mib(20)),
    ("limits.txn-ops", |c| c.limits.txn_ops = 0),
    ("limits.txn-session-bytes", |c| c.limits.txn_session_bytes = ByteSize::mib(15)),
    ("limits.txn-idle-max", |c| c.limits.txn_idle_max = Duration::from_secs(29)),
    ("limits.txn-open", |c| c.limits.txn_open = 0),
    ("limits.scan-rows-max", |c| c.limits.scan_rows_max = 99),
    ("limits.deadline-max", |c| c.limits.deadline_max = Duration::from_secs(9)),
    ("limits.in-flight-bytes", |c| c.limits.in_flight_bytes = ByteSize::mib(15)),
    ("storage.block-cache", |c| c.storage.block_cache = ByteSize(0)),
    ("storage.flush-interval", |c| c.storage.flush_interval = Duration::ZERO),
    ("snapshot.chunk", |c| c.snapshot.chunk = ByteSize(1)),
    ("snapshot.rate-per-second", |c| c.snapshot.rate_per_second = ByteSize::kib(1)),
    ("actors.backoff-max", |c| c.actors.backoff_max = Duration::from_millis(1)),
    ("actors.storm-min", |c| c.actors.storm_min = 1),
    ("pd.store-silent-after", |c| c.pd.store_silent_after = Duration::from_secs(15)),
    ("pd.tso-window", |c| c.pd.tso_window = Duration::ZERO),
    ("http.workers", |c| c.http.workers = 0),
    ("http.allowed-hosts", |c| c.http.allowed_hosts.push("http://x".into())),
];

#[test]
fn each_rule_finds_what_breaks_it_and_nothing_else() {
    for (key, breakage) in BROKEN {
        let mut config = Config::default();
        breakage(&mut config);
        let Err(ConfigError::Invalid(findings)) = config.validate() else {
            panic!("nothing found for {key}");
        };
        let keys: Vec<_> = findings.iter().map(|finding| finding.key).collect();
        assert_eq!(keys, [*key]);
    }
}

#[test]
fn all_findings_come_at_once_and_name_known_keys() {
    let mut config = Config::default();
    for (_, breakage) in BROKEN {
        breakage(&mut config);
    }
    let Err(ConfigError::Invalid(findings)) = config.validate() else { panic!("nothing found") };
    assert!(findings.len() > 20, "{findings:?}");
    let unknown = findings.iter().find(|finding| !crate::file::is_known(finding.key));
    assert_eq!(unknown, None);
}

#[test]
fn loopback_is_told_from_other_addresses() {
    use crate::validate::is_loopback;
    for address in ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "localhost:1"] {
        assert!(is_loopback(address), "{address}");
    }
    for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example:1", "nonsense"] {
        assert!(!is_loopback(address), "{address}");
    }
}

#[test]
fn the_sample_file_as_it_is_changes_nothing() {
    assert_eq!(load(&sample(), &[]).unwrap().config, Config::default());
}

#[test]
fn the_sample_file_with_every_key_uncommented_holds_the_defaults() {
    let uncommented: String = sample()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.is_empty() && !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let loaded = load(&uncommented, &[]).unwrap();
    assert_eq!(loaded.config, Config::default());
    let untouched = loaded.explain().into_iter().find(|key| key.origin == Origin::Default);
    assert_eq!(untouched, None);
}

#[test]
fn the_committed_sample_file_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("troupe.sample.toml");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, sample()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == sample(), "troupe.sample.toml is stale: run `make golden-update`");
}
