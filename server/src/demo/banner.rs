//! Waits until the cluster is ready, and tells a person what there is.
use super::{DemoError, READY_WITHIN};
use std::time::Duration;

/// Asks `/readyz` of all `urls` until each says yes.
pub(super) async fn until_ready(urls: &[String]) -> Result<(), DemoError> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build();
    let client = client.map_err(|error| DemoError::NotReady { why: error.to_string() })?;
    let all = async {
        for url in urls {
            while let Err(why) = ready(&client, url).await {
                tracing::debug!(url, why, "not ready");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    if tokio::time::timeout(READY_WITHIN, all).await.is_ok() {
        return Ok(());
    }
    let mut why = Vec::new();
    for url in urls {
        if let Err(reason) = ready(&client, url).await {
            why.push(format!("{url}: {reason}"));
        }
    }
    Err(DemoError::NotReady { why: why.join("; ") })
}

/// Waits until the node at `url` listens: then it has its id, and the next one may join.
pub(super) async fn until_listening(url: &str) -> Result<(), DemoError> {
    let client = reqwest::Client::new();
    let listening = async {
        while client.get(format!("{url}/livez")).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, listening)
        .await
        .map_err(|_| DemoError::NotReady { why: format!("{url} does not listen; see its log") })
}

async fn ready(client: &reqwest::Client, url: &str) -> Result<(), String> {
    let answer = client.get(format!("{url}/readyz?verbose")).send().await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(answer.text().await.unwrap_or_default())
}

/// Prints URLs and the first three commands to try.
pub(super) fn print(urls: &[String], folder: Option<&std::path::Path>) {
    let Some(first) = urls.first() else { return };
    println!("\nTroupe is ready: {} nodes", urls.len());
    for (i, url) in urls.iter().enumerate() {
        println!("  node {}   {url}   (API: {url}/docs/   actors: {url}/v1/actors)", i + 1);
    }
    if let Some(folder) = folder {
        println!("  data     {}", folder.display());
    }
    println!("\nTry:");
    println!("  curl -X PUT {first}/v1/raw/keys/hello -d world");
    println!("  curl {first}/v1/raw/keys/hello");
    println!("  curl '{first}/v1/raw/scan?prefix=h'");
    println!("\nCtrl-C stops it.");
}
