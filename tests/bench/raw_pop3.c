/* SPDX-License-Identifier: MIT
 *
 * The least a POP3 client can do: log in over TLS, STAT, RETR of everything in one go (pipelined, the
 * commands as far ahead as the socket takes them), take the bytes and throw them away.
 *
 *   raw_pop3 --port N --user U --password P --ca FILE [--host localhost]
 *
 * Prints one line of JSON: seconds from dialling to the last byte, the login's part of it, messages,
 * octets with the dots unstuffed, CPU.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#define RAW_NAME "raw_pop3"
#include "raw.h"

#define INPUT (256u << 10)
#define AHEAD 400u /* commands without an answer */

static struct {
	const char *host, *port, *user, *password, *ca;
} config = { .host = "localhost" };

static SSL *ssl;
static uint8_t input[INPUT];
static size_t at, filled;
static uint64_t octets;

static void say(const char *text, size_t len)
{
	if (SSL_write(ssl, text, (int)len) <= 0)
		die("write");
}

static void fill(void)
{
	int n;

	memmove(input, input + at, filled - at);
	filled -= at;
	at = 0;
	n = SSL_read(ssl, input + filled, (int)(INPUT - filled));
	if (n <= 0)
		die("read");
	filled += (size_t)n;
}

/* The next line, with its end; lines are no longer than the buffer. */
static uint8_t *next_line(size_t *ret_len)
{
	uint8_t *end;

	while (!(end = memchr(input + at, '\n', filled - at))) {
		if (filled - at == INPUT)
			die("a line is too long");
		fill();
	}
	*ret_len = (size_t)(end - (input + at)) + 1;
	at += *ret_len;
	return end + 1 - *ret_len;
}

static char *status(void)
{
	size_t len;
	uint8_t *line = next_line(&len);

	if (len < 3 || memcmp(line, "+OK", 3) != 0) {
		fprintf(stderr, "raw_pop3: %.*s\n", (int)len, (char *)line);
		exit(1);
	}
	return (char *)line;
}

static void ask(const char *verb, const char *argument)
{
	char text[512];

	say(text, (size_t)snprintf(text, sizeof(text), "%s%s\r\n", verb, argument));
}

static void take_message(void)
{
	status();
	for (;;) {
		size_t len;
		uint8_t *line = next_line(&len);

		if (line[0] == '.' && len == 3)
			return;
		octets += len - (line[0] == '.');
	}
}

static void retr(unsigned first, unsigned last)
{
	char *text = malloc((size_t)(last - first + 1) * 20);
	size_t len = 0;

	for (unsigned i = first; i <= last; i++)
		len += (size_t)sprintf(text + len, "RETR %u\r\n", i);
	say(text, len);
	free(text);
}

static unsigned fetch_all(void)
{
	unsigned count, sent = 0;

	ask("STAT", "");
	count = (unsigned)strtoul(status() + 4, NULL, 10);
	for (unsigned done = 0; done < count; done++) {
		/* By halves: not a packet for each. */
		if (sent < count && sent - done <= AHEAD / 2) {
			unsigned upto = done + AHEAD < count ? done + AHEAD : count;

			retr(sent + 1, upto);
			sent = upto;
		}
		take_message();
	}
	return count;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "host", required_argument, NULL, 'h' }, { "port", required_argument, NULL, 'p' },
		{ "user", required_argument, NULL, 'u' }, { "password", required_argument, NULL, 'w' },
		{ "ca", required_argument, NULL, 'c' }, { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		const char **place = option == 'h' ? &config.host : option == 'p' ? &config.port
			: option == 'u' ? &config.user : option == 'w' ? &config.password
			: option == 'c' ? &config.ca : NULL;

		if (!place)
			exit(64);
		*place = optarg;
	}
	if (!config.port || !config.user || !config.password || !config.ca)
		exit(64);
}

int main(int argc, char **argv)
{
	struct rusage usage;
	double start, ready, end;
	unsigned count;

	parse(argc, argv);
	start = now();
	ssl = tls_dial(tls_context(config.ca, INPUT), config.host, config.port);
	status();
	ask("USER ", config.user);
	status();
	ask("PASS ", config.password);
	status();
	ready = now();
	count = fetch_all();
	end = now();
	ask("QUIT", "");
	status();
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"seconds\": %.6f, \"login_seconds\": %.6f, \"messages\": %u, \"bytes\": %llu, "
	       "\"cpu\": %.6f}\n",
		end - start, ready - start, count, (unsigned long long)octets,
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	return 0;
}
