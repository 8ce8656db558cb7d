//! A life that is held, and a life that ends from within.
use super::*;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::unbounded_channel;

const NODE: NodeId = NodeId(3);

#[tokio::test(start_paused = true)]
async fn a_task_that_is_held_runs_once_it_is_let_go() {
    let (tell, _told) = unbounded_channel();
    let gate = Gate::new(NODE, Power::default(), tell);
    let done = Rc::new(std::cell::Cell::new(false));
    let set = done.clone();
    let task = gate.gated(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        set.set(true);
    });
    gate.shut();
    let local = tokio::task::LocalSet::new();
    local.spawn_local(task);
    let look = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(gate.is_shut() && !done.get());
        gate.open();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(done.get());
    };
    local.run_until(look).await;
}

#[test]
fn the_end_of_a_process_is_the_end_of_the_life_that_runs() {
    let (tell, mut told) = unbounded_channel();
    let one = Gate::new(NODE, Power::default(), tell.clone());
    let other = Gate::new(NodeId(4), Power::default(), tell);
    other.within(|| one.within(|| end_current("its disk is gone")));
    assert!(!one.power().is_on() && other.power().is_on());
    assert_eq!(told.try_recv(), Ok((NODE, "its disk is gone".to_owned())));
    one.within(|| end_current("again"));
    assert!(told.try_recv().is_err(), "a life ends once");
}
