// A QEMU plugin that counts the instructions each virtual CPU executes, by place.
//
// The counts lie in a file that is mapped shared, so that they can be read while the machine
// runs: a header (magic, number of blocks), then one record for each block of translated code.
// Built and read by profile.py. The declarations are those of QEMU's plugin API, version 1
// (docs/devel/tcg-plugins in QEMU's manual).

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef struct qemu_info_t qemu_info_t;
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
    void (*callback)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
    void (*callback)(unsigned int cpu, void *data), enum qemu_plugin_cb_flags flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { CPUS = 4, BLOCKS = 1 << 20, BUCKETS = 1 << 21 };

struct block {
    uint64_t address;
    uint64_t instructions;  // of one execution
    uint64_t executions[CPUS];
};

struct counts {
    uint64_t magic;
    uint64_t blocks;
    struct block block[BLOCKS];
};

static struct counts *counts;
static uint32_t bucket[BUCKETS];  // index of a block plus one

static void executed(unsigned int cpu, void *data)
{
    struct block *block = data;
    if (cpu < CPUS) {
        block->executions[cpu]++;
    }
}

// The record of a block; the same one when it is translated again.
static struct block *find(uint64_t address, uint64_t instructions)
{
    uint64_t hash = (address * 64 + instructions) * 0x9e3779b97f4a7c15;
    for (uint32_t at = hash >> 43;; at = (at + 1) % BUCKETS) {
        if (bucket[at] == 0) {
            if (counts->blocks == BLOCKS) {
                return NULL;
            }
            struct block *block = &counts->block[counts->blocks];
            block->address = address;
            block->instructions = instructions;
            bucket[at] = ++counts->blocks;
            return block;
        }
        struct block *block = &counts->block[bucket[at] - 1];
        if (block->address == address && block->instructions == instructions) {
            return block;
        }
    }
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    struct block *block = find(qemu_plugin_tb_vaddr(tb), qemu_plugin_tb_n_insns(tb));
    if (block != NULL) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, block);
    }
}

__attribute__((visibility("default"))) int qemu_plugin_install(
    qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "to=", 3) != 0) {
        return -1;
    }
    int file = open(argv[0] + 3, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, sizeof(*counts)) != 0) {
        return -1;
    }
    counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (counts == MAP_FAILED) {
        return -1;
    }
    counts->magic = 0x73746e756f63;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
