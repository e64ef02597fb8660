//! Work that is shared among threads: a kernel is cut into parts, and whoever is free takes the next.
//!
//! The process has one pool of helpers, which sleep between runs. Natively [`start`] makes them; the
//! threads of WebAssembly are workers, which a page makes, and each of them calls [`help`]. What a
//! part computes does not depend on who computes it, nor on how many there are.

use std::cell::Cell;

#[cfg(not(all(target_family = "wasm", not(target_feature = "atomics"))))]
pub use pool::{failed, help, start};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(1) };
}

/// How many threads this one may use for a kernel, itself among them.
pub fn count() -> usize {
    COUNT.get()
}

/// Runs `work`, which may use `count` threads.
pub fn with<R>(count: usize, work: impl FnOnce() -> R) -> R {
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            COUNT.set(self.0);
        }
    }
    let _restore = Restore(COUNT.replace(count.max(1)));
    work()
}

/// Into how many parts to cut work of `grains`, each of which takes some ten microseconds: more
/// than there are threads, since one may be held up, and none so small that sharing costs more.
pub fn parts(grains: usize) -> usize {
    match count() {
        1 => 1,
        threads => grains.min(4 * threads).max(1),
    }
}

/// How many threads there are: this one, without shared memory.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
pub fn start(_: usize) -> usize {
    1
}

/// Calls `work` for every part, `0..parts`, each once, on as many threads as this one may use.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
pub fn each(parts: usize, work: impl Fn(usize) + Sync) {
    (0..parts).for_each(work);
}

/// Calls `work` for every part, `0..parts`, each once, on as many threads as this one may use.
///
/// # Panics
/// As `work` does.
#[cfg(not(all(target_family = "wasm", not(target_feature = "atomics"))))]
pub fn each(parts: usize, work: impl Fn(usize) + Sync) {
    let helpers = count() - 1;
    if helpers == 0 || parts < 2 || !pool::share(parts, helpers, &work) {
        (0..parts).for_each(work);
    }
}

/// Calls `work` with the parts of `data`, all of whole `unit`s, and where each begins; `grains` is as
/// of [`parts`].
pub fn each_slice<T: Send>(data: &mut [T], unit: usize, grains: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    /// A pointer that threads may share.
    struct Shared<T>(*mut T);
    // SAFETY: `each_slice` gives every thread elements of its own, which may be sent.
    unsafe impl<T: Send> Sync for Shared<T> {}

    let units = data.len().div_ceil(unit.max(1));
    let parts = parts(grains).min(units);
    if parts < 2 {
        return work(0, data);
    }
    let (length, shared) = (data.len(), Shared(data.as_mut_ptr()));
    let shared = &shared;
    each(parts, |part| {
        let at = |part: usize| (units * part / parts * unit).min(length);
        let (from, to) = (at(part), at(part + 1));
        // SAFETY: the parts lie one after the other in `data`, which is borrowed until all are done.
        work(from, unsafe { std::slice::from_raw_parts_mut(shared.0.add(from), to - from) });
    });
}

#[cfg(not(all(target_family = "wasm", not(target_feature = "atomics"))))]
mod pool {
    use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering::SeqCst};
    use std::sync::{Condvar, Mutex, PoisonError};

    /// How often a waiting thread looks before it sleeps: for some tens of microseconds, in which the
    /// next kernel of a run begins.
    const LOOKS: usize = if cfg!(target_family = "wasm") { 40_000 } else { 2_000 };

    /// Work in parts.
    struct Job {
        work: *const (dyn Fn(usize) + Sync),
        parts: usize,
        next: AtomicUsize,
        /// How many more helpers may join.
        places: AtomicUsize,
        panicked: AtomicBool,
    }

    impl Job {
        fn take_parts(&self) {
            loop {
                let part = self.next.fetch_add(1, SeqCst);
                if part >= self.parts {
                    return;
                }
                // SAFETY: `share` does not return before all who took the job have left it.
                unsafe { (*self.work)(part) };
            }
        }
    }

    /// Held by who has a job.
    static TURN: Mutex<()> = Mutex::new(());
    static JOB: AtomicPtr<Job> = AtomicPtr::new(std::ptr::null_mut());
    /// Changes with every job.
    static JOBS: AtomicU32 = AtomicU32::new(0);
    /// Helpers that may look at the job.
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    static ASLEEP: AtomicUsize = AtomicUsize::new(0);
    static FAILED: AtomicBool = AtomicBool::new(false);
    static LOCK: Mutex<()> = Mutex::new(());
    static NEWS: Condvar = Condvar::new();

    fn announce() {
        drop(LOCK.lock().unwrap_or_else(PoisonError::into_inner));
        NEWS.notify_all();
    }

    /// Waits until `ready`; who makes it so announces it if anybody is asleep.
    fn wait_until(ready: impl Fn() -> bool) {
        for _ in 0..LOOKS {
            if ready() {
                return;
            }
            std::hint::spin_loop();
        }
        let mut lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        // Counted before the last look: who does not see it counted is seen by that look.
        ASLEEP.fetch_add(1, SeqCst);
        while !ready() {
            lock = NEWS.wait(lock).unwrap_or_else(PoisonError::into_inner);
        }
        ASLEEP.fetch_sub(1, SeqCst);
    }

    /// Takes the job away from the helpers, and waits until the last has left it.
    struct Closing;

    impl Drop for Closing {
        fn drop(&mut self) {
            JOB.store(std::ptr::null_mut(), SeqCst);
            wait_until(|| INSIDE.load(SeqCst) == 0 || FAILED.load(SeqCst));
            // What the helper held is lost, and what it worked on must not be read.
            assert!(!FAILED.load(SeqCst), "a thread of this instance failed");
        }
    }

    /// Does `work` together with helpers; `false`, and nothing, where another thread has a job.
    pub fn share(parts: usize, helpers: usize, work: &(dyn Fn(usize) + Sync)) -> bool {
        let Ok(_turn) = TURN.try_lock() else { return false };
        // SAFETY: only the lifetime is left out; `Closing` ends all use of it before this function does.
        let work = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(work)
        };
        let (next, places) = (AtomicUsize::new(0), AtomicUsize::new(helpers.min(parts - 1)));
        let mut job = Job { work, parts, next, places, panicked: AtomicBool::new(false) };
        {
            let _closing = Closing;
            JOB.store(&mut job, SeqCst);
            JOBS.fetch_add(1, SeqCst);
            if ASLEEP.load(SeqCst) > 0 {
                announce();
            }
            job.take_parts();
        }
        assert!(!job.panicked.load(SeqCst), "a part of a kernel panicked");
        true
    }

    /// Waits for jobs and helps with them, for good.
    pub fn help() -> ! {
        // A job may be waiting already.
        let mut seen = JOBS.load(SeqCst).wrapping_sub(1);
        loop {
            wait_until(|| JOBS.load(SeqCst) != seen);
            seen = JOBS.load(SeqCst);
            INSIDE.fetch_add(1, SeqCst);
            // SAFETY: who is inside when the job is there keeps `share`, on whose stack it is, from returning.
            if let Some(job) = unsafe { JOB.load(SeqCst).as_ref() }
                && job.places.fetch_update(SeqCst, SeqCst, |places| places.checked_sub(1)).is_ok()
            {
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.take_parts()));
                if done.is_err() {
                    job.panicked.store(true, SeqCst);
                }
            }
            if INSIDE.fetch_sub(1, SeqCst) == 1 && ASLEEP.load(SeqCst) > 0 {
                announce();
            }
        }
    }

    /// Says that a helper has ended in the middle of its work: who waits for it panics.
    pub fn failed() {
        FAILED.store(true, SeqCst);
        announce();
    }

    /// Sees to it that there are helpers for `count` threads, as far as the system gives them; gives
    /// how many threads there are.
    #[cfg(not(target_family = "wasm"))]
    pub fn start(count: usize) -> usize {
        static STARTED: Mutex<usize> = Mutex::new(0);
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        while *started + 1 < count {
            let name = format!("firebrand-{}", *started + 1);
            if std::thread::Builder::new().name(name).spawn(|| help()).is_err() {
                break;
            }
            *started += 1;
        }
        count.min(*started + 1)
    }

    /// The page made them.
    #[cfg(target_family = "wasm")]
    pub fn start(count: usize) -> usize {
        count
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;
    use crate::arch::Level;
    use crate::integer::{IntOutput, ZeroPoints};
    use crate::pool::{self, Channels};
    use crate::random::Random;
    use crate::{Blocks, ConvF32, ConvI8, Epilogue, GemmF32, GemmI8, GemmU4, Geometry, Matrix, Window};

    #[test]
    fn every_part_is_done_once_by_any_number_of_threads() {
        start(4);
        for threads in 1..=4 {
            for parts in [0, 1, 2, 3, 17, 1000] {
                let done: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                with(threads, || each(parts, |part| _ = done[part].fetch_add(1, SeqCst)));
                assert!(done.iter().all(|count| count.load(SeqCst) == 1), "{threads} threads, {parts} parts");
            }
        }
    }

    #[test]
    fn helpers_take_parts_while_their_caller_is_held_up() {
        start(2);
        let helped = AtomicUsize::new(0);
        let caller = std::thread::current().id();
        with(2, || {
            each(2, |_| {
                if std::thread::current().id() != caller {
                    helped.fetch_add(1, SeqCst);
                }
                // Whoever is first waits for the other, who must be another thread.
                let began = std::time::Instant::now();
                while helped.load(SeqCst) == 0 && began.elapsed().as_secs() < 20 {
                    std::thread::yield_now();
                }
            });
        });
        assert_eq!(helped.load(SeqCst), 1);
    }

    #[test]
    fn callers_at_the_same_time_all_get_their_work_done() {
        start(3);
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        with(3, || each(8, |_| _ = total.fetch_add(1, SeqCst)));
                    }
                });
            }
        });
        assert_eq!(total.load(SeqCst), 4 * 500 * 8);
    }

    #[test]
    fn a_part_may_share_work_of_its_own() {
        start(2);
        let total = AtomicUsize::new(0);
        with(2, || each(4, |_| each(4, |_| _ = total.fetch_add(1, SeqCst))));
        assert_eq!(total.load(SeqCst), 16);
    }

    #[test]
    fn a_part_that_panics_ends_the_call_and_not_the_pool() {
        start(2);
        for bad in [0, 7] {
            let work = || with(2, || each(8, |part| assert!(part != bad)));
            assert!(std::panic::catch_unwind(work).is_err());
            assert_eq!(count(), 1);
        }
        let total = AtomicUsize::new(0);
        with(2, || each(8, |_| _ = total.fetch_add(1, SeqCst)));
        assert_eq!(total.load(SeqCst), 8);
    }

    #[test]
    fn slices_are_cut_at_units_and_leave_nothing_out() {
        start(3);
        for (length, unit) in [(0, 4), (1, 4), (63, 16), (64, 16), (1000, 7)] {
            let mut data = vec![usize::MAX; length];
            with(3, || {
                each_slice(&mut data, unit, 100, |from, part| {
                    assert_eq!(from % unit, 0);
                    part.iter_mut().enumerate().for_each(|(i, v)| *v = from + i);
                });
            });
            assert_eq!(data, (0..length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn products_and_convolutions_have_the_same_bits_on_any_number_of_threads() {
        start(4);
        let mut random = Random::new(3);
        // Large enough to be cut: by rows, by columns, by lines; and one row.
        for (rows, depth, columns) in [(401, 96, 130), (17, 512, 515), (1, 2048, 1030), (70, 640, 33)] {
            let a: Vec<f32> = (0..rows * depth).map(|_| random.float()).collect();
            let b: Vec<f32> = (0..depth * columns).map(|_| random.float()).collect();
            let codes: Vec<u8> = (0..rows * depth).map(|_| random.within(0, 255) as u8).collect();
            let bytes: Vec<i8> = (0..depth * columns).map(|_| random.within(0, 255) as u8 as i8).collect();
            for level in Level::available() {
                let floats =
                    GemmF32::at(level, &Matrix { data: &b, depth_stride: columns, column_stride: 1 }, depth, columns);
                let matrix = Matrix { data: &bytes, depth_stride: columns, column_stride: 1 };
                let integers = GemmI8::at(level, level.dot(), &matrix, depth, columns);
                let run = |threads| {
                    let (mut y, mut sums) = (vec![f32::NAN; rows * columns], vec![i32::MAX; rows * columns]);
                    with(threads, || {
                        floats.run(&a, depth, rows, &Epilogue::NONE, &mut y, columns);
                        integers.run(&codes, depth, rows, ZeroPoints::One(3), IntOutput::Sums(&mut sums), columns);
                    });
                    (y.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), sums)
                };
                let one = run(1);
                (2..=4).for_each(|threads| assert!(run(threads) == one, "{level:?}, {rows} rows, {threads} threads"));
            }
        }
        for (channels, outputs, group, kernel) in [(24, 40, 1, 3), (150, 170, 1, 3), (96, 96, 96, 3), (32, 64, 2, 1)] {
            let window = Window {
                kernel: vec![kernel, kernel],
                strides: vec![1, 1],
                dilations: vec![1, 1],
                pads_begin: vec![kernel / 2; 2],
                pads_end: vec![kernel / 2; 2],
                output: vec![37, 41],
            };
            let geometry = Geometry::new(&[2, channels, 37, 41], outputs, group, &window);
            let per_group = channels / group;
            let x: Vec<u8> = (0..2 * channels * 37 * 41).map(|_| random.within(0, 255) as u8).collect();
            let reals: Vec<f32> = x.iter().map(|&v| f32::from(v) * 0.1).collect();
            let w: Vec<i8> =
                (0..outputs * per_group * kernel * kernel).map(|_| random.within(0, 255) as u8 as i8).collect();
            let weights: Vec<f32> = w.iter().map(|&v| f32::from(v)).collect();
            for level in Level::available() {
                let floats = ConvF32::at(level, &weights, outputs, per_group, [kernel; 2], group);
                let fewer = ConvF32::one_apart_at(level, &weights, outputs, per_group, [kernel; 2], group);
                let small = Geometry { batch: 1, input: [9, 7], output: [9, 7], ..geometry.clone() };
                let integers = ConvI8::at(level, level.dot(), &w, outputs, per_group, [kernel; 2], group);
                let run = |threads| {
                    let count = 2 * outputs * 37 * 41;
                    let (mut y, mut sums) = (vec![f32::NAN; 3 * count], vec![i32::MAX; count]);
                    with(threads, || {
                        floats.run(&geometry, &reals, &Epilogue::NONE, &mut y);
                        fewer.run(&geometry, &reals, &Epilogue::NONE, &mut y[count..]);
                        // More filters than inputs.
                        fewer.run(&small, &reals, &Epilogue::NONE, &mut y[2 * count..]);
                        integers.run(&geometry, &x, 128, IntOutput::Sums(&mut sums));
                    });
                    (y.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), sums)
                };
                let one = run(1);
                (2..=4).for_each(|threads| {
                    assert!(run(threads) == one, "{level:?}, {channels} channels, {threads} threads")
                });
            }
        }
    }

    #[test]
    fn weights_of_4_bits_and_pools_have_the_same_bits_on_any_number_of_threads() {
        start(4);
        let mut random = Random::new(4);
        let (depth, columns) = (512, 1040);
        let codes: Vec<u8> = (0..depth * columns / 2).map(|_| random.within(0, 255) as u8).collect();
        let scales: Vec<f32> = (0..depth / 32 * columns).map(|_| random.float()).collect();
        let a: Vec<f32> = (0..40 * depth).map(|_| random.float()).collect();
        let nibbles = GemmU4::new(&Blocks { codes: &codes, scales: &scales, zeros: None, size: 32, depth, columns });
        let window = Window {
            kernel: vec![3, 3],
            strides: vec![2, 2],
            dilations: vec![1, 1],
            pads_begin: vec![1, 1],
            pads_end: vec![1, 1],
            output: vec![40, 40],
        };
        let x: Vec<f32> = (0..2 * 79 * 79 * 40).map(|_| random.float()).collect();
        let run = |threads| {
            with(threads, || {
                let mut all = Vec::new();
                for rows in [1, 40] {
                    let mut y = vec![f32::NAN; rows * columns];
                    nibbles.run(&a, depth, rows, &Epilogue::NONE, &mut y, columns);
                    all.extend(y);
                }
                let of = Channels::Last { images: 2, channels: 40 };
                all.extend(pool::max_f32(&x, of, &[79, 79], &window, f32::NEG_INFINITY));
                all.extend(pool::average_f32(&x, of, &[79, 79], &window, false));
                all.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
            })
        };
        let one = run(1);
        (2..=4).for_each(|threads| assert!(run(threads) == one, "{threads} threads"));
    }
}
