/* SPDX-License-Identifier: MIT */
/* The device of tap.h: owns libpcap's handle of it, and the packets. What they mean is not its business. */
#include "lab/tap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER      (4 << 20)  /* bytes of the kernel's: some 20,000 packets that the reader may be late */
#define PACKETS_MAX (1u << 18) /* in memory */
#define SECOND      INT64_C(1000000000)

static int error_of(int result)
{
	switch (result) {
	case PCAP_ERROR_PERM_DENIED:
	case PCAP_ERROR_PROMISC_PERM_DENIED:
		return -EPERM;
	case PCAP_ERROR_NO_SUCH_DEVICE:
	case PCAP_ERROR_IFACE_NOT_UP:
		return -ENODEV;
	default:
		return -EIO;
	}
}

/*
 * Immediate mode: without it, the kernel keeps packets back until they fill a block, also when the capture ends. A
 * microsecond is what libpcap has where the kernel has no nanoseconds.
 */
static int activate(pcap_t *pcap)
{
	struct bpf_program tcp;
	char why[PCAP_ERRBUF_SIZE];
	int result;

	pcap_set_snaplen(pcap, LAB_SNAPLEN);
	pcap_set_buffer_size(pcap, BUFFER);
	pcap_set_immediate_mode(pcap, 1);
	pcap_set_tstamp_precision(pcap, PCAP_TSTAMP_PRECISION_NANO);
	result = pcap_activate(pcap);
	if (result < 0)
		return error_of(result);
	if (pcap_compile(pcap, &tcp, "tcp", 1, PCAP_NETMASK_UNKNOWN) < 0)
		return -EIO;
	result = pcap_setfilter(pcap, &tcp);
	pcap_freecode(&tcp);
	return result < 0 || pcap_setnonblock(pcap, 1, why) < 0 ? -EIO : 0;
}

int lab_tap_open(struct lab_tap *tap, const char *device, lb_time offset)
{
	char why[PCAP_ERRBUF_SIZE];
	int result;

	*tap = (struct lab_tap){.fd = -1, .offset = offset};
	tap->pcap = pcap_create(device, why);
	if (tap->pcap == NULL)
		return -ENOMEM;
	result = activate(tap->pcap);
	if (result < 0)
		return result;
	switch (pcap_datalink(tap->pcap)) {
	case DLT_RAW:
		tap->side.ip = 0;
		break;
	case DLT_EN10MB:
		tap->side.ip = 14;
		break;
	default:
		return -EOPNOTSUPP;
	}
	tap->fd = pcap_get_selectable_fd(tap->pcap);
	return tap->fd < 0 ? -EIO : 0;
}

void lab_tap_close(struct lab_tap *tap)
{
	if (tap->pcap != NULL)
		pcap_close(tap->pcap);
	free(tap->side.packets);
}

static bool grow(struct lab_tap *tap)
{
	size_t room = tap->room == 0 ? 1024 : tap->room * 2;
	struct lab_packet *packets =
		room <= PACKETS_MAX ? realloc(tap->side.packets, room * sizeof *packets) : NULL;

	if (packets == NULL)
		return false;
	tap->side.packets = packets;
	tap->room = room;
	return true;
}

static void keep(unsigned char *user, const struct pcap_pkthdr *head, const unsigned char *bytes)
{
	struct lab_tap *tap = (struct lab_tap *)user;
	struct lab_side *side = &tap->side;
	lb_time fraction = head->ts.tv_usec;
	struct lab_packet *packet;

	if (side->count == tap->room && !grow(tap)) {
		tap->missed++;
		return;
	}
	if (pcap_get_tstamp_precision(tap->pcap) != PCAP_TSTAMP_PRECISION_NANO)
		fraction *= 1000;
	packet = &side->packets[side->count++];
	packet->at = head->ts.tv_sec * SECOND + fraction - tap->offset;
	packet->wire = head->len;
	packet->len = head->caplen < LAB_SNAPLEN ? head->caplen : LAB_SNAPLEN;
	memcpy(packet->bytes, bytes, packet->len);
}

/* A device that fails has missed what comes after. */
void lab_tap_read(struct lab_tap *tap, int most)
{
	if (tap->fd >= 0 && pcap_dispatch(tap->pcap, most, keep, (unsigned char *)tap) < 0) {
		tap->fd = -1;
		tap->missed++;
	}
}

uint32_t lab_tap_missed(const struct lab_tap *tap)
{
	struct pcap_stat stat;

	return tap->missed + (tap->pcap != NULL && pcap_stats(tap->pcap, &stat) == 0 ? stat.ps_drop : 0);
}

int lab_tap_write(const struct lab_tap *tap, lb_time until, const char *path)
{
	bool nano = pcap_get_tstamp_precision(tap->pcap) == PCAP_TSTAMP_PRECISION_NANO;
	pcap_dumper_t *dumper;
	int error = 0;

	errno = 0;
	dumper = pcap_dump_open(tap->pcap, path);
	if (dumper == NULL)
		return errno != 0 ? -errno : -EIO;
	for (size_t i = 0; i < tap->side.count; i++) {
		const struct lab_packet *packet = &tap->side.packets[i];
		lb_time at = packet->at + tap->offset;
		struct pcap_pkthdr head = {.caplen = packet->len, .len = packet->wire};

		if (packet->tcp == NULL || !(packet->paired || packet->at <= until))
			continue;
		head.ts.tv_sec = at / SECOND;
		head.ts.tv_usec = at % SECOND / (nano ? 1 : 1000);
		pcap_dump((unsigned char *)dumper, &head, packet->bytes);
	}
	if (pcap_dump_flush(dumper) < 0 || ferror(pcap_dump_file(dumper)) != 0)
		error = errno != 0 ? -errno : -EIO;
	pcap_dump_close(dumper);
	return error;
}
