//! Targets are probed apart from each other, and no longer than they are watched.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::TcpListener, time::timeout};

use super::*;
use crate::model::{ProbeKind, Scope};

const DEADLINE: Duration = Duration::from_secs(20);

fn probe(interval: Duration) -> Probe {
    Probe {
        interval,
        timeout: interval,
        jitter_percent: 0,
        ..Probe::new(ProbeKind::Tcp)
    }
}

fn target(address: SocketAddr) -> Target {
    Target {
        service: "web".parse().expect("a valid name"),
        address,
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The next result of `address`.
async fn result(results: &mut mpsc::Receiver<Observation>, address: SocketAddr) -> Observation {
    let found = async {
        loop {
            let observation = results.recv().await.expect("the prober lives");
            if observation.target.address == address {
                return observation;
            }
        }
    };
    timeout(DEADLINE, found)
        .await
        .unwrap_or_else(|_| panic!("no result of {address} within {DEADLINE:?}"))
}

#[tokio::test]
async fn every_target_is_probed_again_and_again() {
    let (_up, up) = listener().await;
    let (gone, down) = listener().await;
    drop(gone);
    let (sender, mut results) = mpsc::channel(1);
    let mut prober = Prober::new(sender, None);
    let interval = Duration::from_millis(20);
    prober.watch(
        &Scope::All,
        &[up, down]
            .map(|address| (target(address), probe(interval)))
            .into(),
    );
    for _ in 0..3 {
        assert!(result(&mut results, up).await.attempt.is_ok());
        let refused = result(&mut results, down).await.attempt;
        assert_eq!(refused, Err("connection refused".to_owned()));
    }
}

#[tokio::test]
async fn a_target_that_hangs_delays_no_other() {
    let (_up, up) = listener().await;
    let (_silent, silent) = listener().await;
    let (sender, mut results) = mpsc::channel(1);
    let mut prober = Prober::new(sender, None);
    let hanging = Probe {
        kind: ProbeKind::Http(crate::model::HttpCheck::get("/")),
        ..probe(Duration::from_hours(1))
    };
    prober.watch(
        &Scope::All,
        &[
            (target(silent), hanging),
            (target(up), probe(Duration::from_millis(10))),
        ]
        .into(),
    );
    for _ in 0..100 {
        let observation = timeout(DEADLINE, results.recv()).await.unwrap().unwrap();
        assert_eq!(observation.target.address, up);
    }
}

#[tokio::test]
async fn targets_that_are_watched_no_more_are_left_alone() {
    let (_first, first) = listener().await;
    let (_second, second) = listener().await;
    let (sender, mut results) = mpsc::channel(1);
    let mut prober = Prober::new(sender, None);
    let interval = Duration::from_millis(10);
    prober.watch(
        &Scope::All,
        &[first, second]
            .map(|address| (target(address), probe(interval)))
            .into(),
    );
    result(&mut results, first).await;
    let second_alone = [(target(second), probe(interval))].into();
    prober.watch(&Scope::All, &second_alone);
    // One result may have been on its way.
    let mut late = 0;
    for _ in 0..50 {
        let observation = timeout(DEADLINE, results.recv()).await.unwrap().unwrap();
        late += usize::from(observation.target.address == first);
    }
    assert!(late <= 1, "{late} results after the end");
    prober.watch(&Scope::All, &second_alone);
    assert_eq!(prober.tasks.len(), 1, "no trace is left of the other");
}

#[tokio::test]
async fn a_changed_probe_takes_effect_without_waiting_for_the_old_interval() {
    let (_listener, address) = listener().await;
    let (sender, mut results) = mpsc::channel(1);
    let mut prober = Prober::new(sender, None);
    prober.watch(
        &Scope::All,
        &[(target(address), probe(Duration::from_hours(1)))].into(),
    );
    result(&mut results, address).await;
    prober.watch(
        &Scope::All,
        &[(target(address), probe(Duration::from_millis(10)))].into(),
    );
    for _ in 0..3 {
        result(&mut results, address).await;
    }
}

#[tokio::test]
async fn watching_the_same_targets_again_disturbs_nothing() {
    let (_listener, address) = listener().await;
    let (sender, _results) = mpsc::channel(1);
    let mut prober = Prober::new(sender, None);
    let targets = [(target(address), probe(Duration::from_hours(1)))].into();
    prober.watch(&Scope::All, &targets);
    let before = prober.watched[&target(address)].task.id();
    prober.watch(&Scope::All, &targets);
    assert_eq!(prober.watched[&target(address)].task.id(), before);
}

#[tokio::test]
async fn a_target_in_a_hurry_does_not_wait_for_the_rest_of_its_interval() {
    let probe = probe(Duration::from_hours(1));
    let (interest, mut wanted) = watch::channel(Interest::All);
    // Half of the interval is over: more than a quarter, which is the interval of the hurried.
    let last = Instant::now() - probe.interval / 2;
    let mut waiting = Box::pin(next(last, &probe, &mut wanted));
    assert!(futures::poll!(&mut waiting).is_pending());
    interest.send_replace(Interest::Soon);
    timeout(DEADLINE, waiting)
        .await
        .expect("the next probe is due");
}

#[tokio::test]
async fn dropping_the_prober_ends_all_tasks() {
    let (_listener, address) = listener().await;
    let (sender, mut results) = mpsc::channel(1);
    let mut prober = Prober::new(sender, None);
    prober.watch(
        &Scope::All,
        &[(target(address), probe(Duration::from_millis(10)))].into(),
    );
    result(&mut results, address).await;
    drop(prober);
    let closed = async { while results.recv().await.is_some() {} };
    timeout(DEADLINE, closed)
        .await
        .expect("all senders are gone");
}

#[tokio::test]
async fn only_failures_are_told_of_a_target_whose_successes_do_not_matter() {
    let (up_listener, up) = listener().await;
    let (sender, mut results) = mpsc::channel(1);
    let mut prober = Prober::new(sender, None);
    prober.watch(
        &Scope::All,
        &[(target(up), probe(Duration::from_millis(10)))].into(),
    );
    assert!(result(&mut results, up).await.attempt.is_ok());
    prober.attend(&target(up), Interest::Failures);
    // Successes may have been on their way: many more probes are made than are told of.
    let before = prober.counts().made;
    let mut told = 0;
    let many = async {
        while prober.counts().made < before + 20 {
            tokio::select! {
                _ = results.recv() => told += 1,
                () = tokio::task::yield_now() => {}
            }
        }
    };
    timeout(DEADLINE, many).await.expect("probes go on");
    assert!(told <= 2, "{told} successes were told");
    drop(up_listener);
    assert!(result(&mut results, up).await.attempt.is_err());
    let counts = prober.counts();
    assert!(
        counts.failed >= 1 && counts.made > counts.failed,
        "{counts:?}"
    );
}

#[tokio::test]
async fn a_target_that_is_probed_by_its_vip_waits_for_the_way_and_takes_it() {
    let (_alias, alias) = listener().await;
    let (_up, up) = listener().await;
    let (gone, own) = listener().await;
    drop(gone);
    let (sender, mut results) = mpsc::channel(1);
    let mut prober = Prober::new(sender, None);
    let direct = probe(Duration::from_millis(10));
    let by_vip = Probe {
        via: Via::Vip,
        ..direct.clone()
    };
    prober.watch(
        &Scope::All,
        &[(target(own), by_vip), (target(up), direct)].into(),
    );
    for _ in 0..100 {
        let observation = timeout(DEADLINE, results.recv()).await.unwrap().unwrap();
        assert_eq!(observation.target.address, up);
    }
    let paths = |to: SocketAddr| Paths::from([(target(own), to.into())]);
    prober.lead(&paths(alias));
    assert!(result(&mut results, own).await.attempt.is_ok());
    prober.lead(&paths(own));
    let refused = async { while result(&mut results, own).await.attempt.is_ok() {} };
    timeout(DEADLINE, refused)
        .await
        .expect("the new way is taken");
}
