//! What happens in place of an abort where a thread plays many processes.
use std::cell::RefCell;
use std::rc::Rc;

/// Payload of the unwinding that ends a simulated process. Whoever plays the process catches it and
/// lets nothing of that process run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

type OnEnd = Rc<dyn Fn(&str)>;

thread_local! {
    static STAND_IN: RefCell<Option<OnEnd>> = const { RefCell::new(None) };
}

/// From here on the end of the process, on this thread only, calls `on_end` with the reason and then
/// unwinds with [`Ended`]. `on_end` must see to it that nothing the process does afterwards is seen by
/// anybody. For simulators: a real process never calls this.
pub fn stand_in_for_end(on_end: impl Fn(&str) + 'static) {
    STAND_IN.set(Some(Rc::new(on_end)));
}

/// Has a stand-in of this thread taken note of the end?
pub(super) fn takes_over(reason: &str) -> bool {
    let on_end = STAND_IN.with_borrow(Clone::clone);
    on_end.inspect(|on_end| on_end(reason)).is_some()
}
