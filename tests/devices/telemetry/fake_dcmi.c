/* A small libdcmi.so: two cards, the second with two chips; calls and structures as in dcmi_interface_api.h. */
#include <stdlib.h>
#include <string.h>

#define UNSUPPORTED (-8255)

struct hbm { unsigned long long memory_size; unsigned int freq; unsigned long long memory_usage; int temp; unsigned int rate; };
struct chip { char type[32]; char name[32]; char version[32]; unsigned int aicores; };
struct process { int id; unsigned long memory; };

/* FAKE_DCMI names one call that fails. */
static int fails(const char *call) { const char *bad = getenv("FAKE_DCMI"); return bad && !strcmp(bad, call); }

int dcmi_init(void) { return fails("init") ? -8005 : 0; }

int dcmi_get_card_list(int *count, int *cards, int length) {
    if (fails("cards") || length < 2) return -8005;
    *count = 2; cards[0] = 0; cards[1] = 3;
    return 0;
}

int dcmi_get_device_id_in_card(int card, int *chips, int *mcu, int *cpu) {
    *chips = card == 3 ? 2 : 1; *mcu = 1; *cpu = -1;
    return 0;
}

int dcmi_get_device_power_info(int card, int chip, int *power) {
    if (fails("power")) return UNSUPPORTED;
    *power = 1624 + 100 * card + chip;
    return 0;
}

int dcmi_get_device_temperature(int card, int chip, int *celsius) { *celsius = 41 + chip; return card < 0; }

int dcmi_get_device_hbm_info(int card, int chip, struct hbm *info) {
    if (fails("hbm")) return UNSUPPORTED;
    memset(info, 0, sizeof *info);
    info->memory_size = 65536; info->freq = 1600; info->memory_usage = 3318 + card + chip; info->temp = 40;
    return 0;
}

int dcmi_get_device_frequency(int card, int chip, int type, unsigned int *mhz) {
    if (type == 7) *mhz = 1650;
    else if (type == 9) *mhz = 1800;
    else return UNSUPPORTED;
    return card < 0 || chip < 0;
}

int dcmi_get_device_utilization_rate(int card, int chip, int type, unsigned int *percent) {
    if (type == 2 && fails("aicore")) return UNSUPPORTED;
    *percent = type == 13 ? 77 : card == 0 ? 0 : 92 + chip;
    return 0;
}

int dcmi_get_device_chip_info(int card, int chip, struct chip *info) {
    strcpy(info->type, "Ascend"); strcpy(info->name, "910B3"); strcpy(info->version, "V1"); info->aicores = 20;
    return card < 0 || chip < 0;
}

int dcmi_get_driver_version(char *text, unsigned int length) { strncpy(text, "25.5.1", length); return 0; }

int dcmi_get_device_health(int card, int chip, unsigned int *health) { *health = fails("health") ? 0xffffffffu : (unsigned)chip; return card < 0; }

int dcmi_get_device_resource_info(int card, int chip, struct process *table, int *count) {
    table[0].id = 1; table[0].memory = 1048576ul * (card + 1); *count = 1;
    return chip < 0;
}
