//! How RocksDB is set up.
use super::super::Cf;
use super::collect::{FilterFactory, Garbage};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, Env, Options,
    WriteBufferManager,
};
use std::sync::Arc;

const MIB: u64 = 1024 * 1024;
/// False positives about 1 %.
const BLOOM_BITS_PER_KEY: f64 = 10.0;
const BLOCK_BYTES: usize = 16 * 1024;
const TARGET_FILE_BYTES: u64 = 32 * MIB;
const LEVEL_BASE_BYTES: u64 = 256 * MIB;
const MAX_WRITE_BUFFERS: i32 = 4;
/// RocksDB's own text log, which it rolls over.
const INFO_LOG_BYTES: u64 = 8 * MIB;
const INFO_LOG_FILES: usize = 4;

/// Sizes that a deployment may want to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// Cache of blocks read, shared by all column families, in bytes.
    pub block_cache_bytes: u64,
    /// Memtable of one column family, in bytes; a full one flushes all of them.
    pub write_buffer_bytes: u64,
    /// All memtables together, in bytes.
    pub total_write_buffer_bytes: u64,
    /// Flushes and compactions at once, ≥ 2.
    pub max_background_jobs: u16,
    /// A snapshot file is closed when it has grown beyond this, in bytes.
    pub export_file_bytes: u64,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 256 * MIB,
            write_buffer_bytes: 32 * MIB,
            total_write_buffer_bytes: 128 * MIB,
            max_background_jobs: 2,
            export_file_bytes: 100 * MIB,
        }
    }
}

impl RocksOptions {
    /// Options of the database as a whole.
    pub(super) fn database(&self) -> Result<Options, rocksdb::Error> {
        let mut env = Env::new()?;
        // Compaction yields to requests; flushes keep their priority, as writes wait for them.
        env.lower_thread_pool_cpu_priority();
        let mut options = Options::default();
        options.set_env(&env);
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_atomic_flush(true);
        // One thread applies: the memtable's insertion for several writers only costs more.
        options.set_allow_concurrent_memtable_write(false);
        options.set_paranoid_checks(true);
        options.set_max_background_jobs(i32::from(self.max_background_jobs.max(2)));
        let buffers = usize_of(self.total_write_buffer_bytes);
        options.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager(
            buffers, false,
        ));
        options.set_bytes_per_sync(MIB);
        options.set_max_log_file_size(usize_of(INFO_LOG_BYTES));
        options.set_keep_log_file_num(INFO_LOG_FILES);
        options.set_stats_dump_period_sec(0);
        Ok(options)
    }

    /// One descriptor a column family. `open_cf` would give each of them RocksDB's defaults.
    pub(super) fn column_families(&self, garbage: &Arc<Garbage>) -> Vec<ColumnFamilyDescriptor> {
        let cache = Cache::new_lru_cache(usize_of(self.block_cache_bytes));
        Cf::ALL
            .into_iter()
            .map(|cf| {
                let mut options = self.column_family(&cache);
                if cf == Cf::Write {
                    options.set_compaction_filter_factory(FilterFactory::new(garbage.clone()));
                }
                ColumnFamilyDescriptor::new(cf.name(), options)
            })
            .collect()
    }

    fn column_family(&self, cache: &Cache) -> Options {
        let mut options = Options::default();
        options.set_block_based_table_factory(&table(cache));
        options.set_write_buffer_size(usize_of(self.write_buffer_bytes));
        options.set_max_write_buffer_number(MAX_WRITE_BUFFERS);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_target_file_size_base(TARGET_FILE_BYTES);
        options.set_max_bytes_for_level_base(LEVEL_BASE_BYTES);
        options
    }

    /// Options of files that will be ingested: the same blocks, filters and compression.
    pub(super) fn sst_file(&self) -> Options {
        let mut table = table_format();
        table.disable_cache();
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        options.set_compression_type(DBCompressionType::Lz4);
        options
    }
}

fn table(cache: &Cache) -> BlockBasedOptions {
    let mut table = table_format();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table
}

fn table_format() -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    table.set_block_size(BLOCK_BYTES);
    table
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
