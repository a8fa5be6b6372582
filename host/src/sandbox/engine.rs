//! The engine's settings: what a component may be made of, and what a fresh instance costs.
//!
//! An instance costs about 13 µs because nothing of it is mapped or unmapped: the pool keeps slots warm, the kernel
//! names the pages that a guest touched (`PAGEMAP_SCAN`, Linux 6.7), and just those are put back. Warm memory is at
//! most [`KEEP_MEMORY_BYTES`] a slot. Addresses are only reserved: about 6 GiB a slot.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::app::Limits;

/// Core instances, and tables, in one component. Language runtimes link a few dozen modules.
const PARTS_MAX: u32 = 64;
/// Linear memories in one component. One is the rule; composed components have one each.
const MEMORIES_MAX: u32 = 16;
/// Elements of one table. JavaScript's runtime needs 7,692, Go's 6,242, Python's 5,674.
pub(super) const TABLE_ELEMENTS_MAX: usize = 20_000;
/// What of a memory is put back in place after an event rather than given back to the kernel.
const KEEP_MEMORY_BYTES: usize = 2 << 20;
/// The same for a table.
const KEEP_TABLE_BYTES: usize = 64 << 10;
/// How deep a guest may call: beyond it is a trap. A thread that calls a guest needs twice as much stack.
const STACK_BYTES_MAX: usize = 512 << 10;

/// An engine with room for `instances_max` instances at once.
pub(super) fn new(instances_max: usize) -> Result<Engine, wasmtime::Error> {
    let instances = u32::try_from(instances_max.max(1))?;
    let slots = |each: u32| instances.saturating_mul(each);

    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(slots(PARTS_MAX))
        .total_tables(slots(PARTS_MAX))
        .total_memories(slots(MEMORIES_MAX))
        .max_core_instances_per_component(PARTS_MAX)
        .max_tables_per_component(PARTS_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_memory_size(Limits::MEMORY_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        // A slot that stays warm for one component is not mapped anew for it. More components than slots share.
        .max_unused_warm_slots(slots(MEMORIES_MAX))
        .linear_memory_keep_resident(KEEP_MEMORY_BYTES)
        .table_keep_resident(KEEP_TABLE_BYTES)
        .pagemap_scan(Enabled::Auto);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .table_lazy_init(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        // The same bytes on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        // What no function needs is one thing less that can have a hole. Threads, garbage collection, exceptions and
        // stack switching are not even compiled in.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_shared_everything_threads(false)
        .wasm_stack_switching(false)
        // By default an environment variable decides, and a trap would have megabytes of debug data read.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    Engine::new(&config)
}
