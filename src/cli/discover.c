/* SPDX-License-Identifier: MIT */
/* The order of discovery. The first stage that gives something that can be trusted ends it. */
#include "cli/discover.h"

#include <string.h>

#include <gio/gio.h>

#include "base/log.h"
#include "cli/https.h"

#define ISPDB "https://autoconfig.thunderbird.net/v1.1/"

static bool has_trusted(const GPtrArray *found)
{
	for (guint i = 0; i < found->len; i++) {
		if (((const struct discovery *)g_ptr_array_index(found, i))->is_trusted)
			return true;
	}
	return false;
}

/* ---- SRV --------------------------------------------------------------------------------------- */

static bool is_below(const char *host, const char *domain)
{
	g_autofree char *suffix = g_strconcat(".", domain, NULL);

	return g_ascii_strcasecmp(host, domain) == 0 ||
		(strlen(host) > strlen(suffix) &&
			g_ascii_strcasecmp(host + strlen(host) - strlen(suffix), suffix) == 0);
}

static int by_priority(gconstpointer a, gconstpointer b)
{
	guint16 priority[2], weight[2];

	g_variant_get((GVariant *)a, "(qqqs)", &priority[0], &weight[0], NULL, NULL);
	g_variant_get((GVariant *)b, "(qqqs)", &priority[1], &weight[1], NULL, NULL);
	return priority[0] != priority[1] ? priority[0] - priority[1] : weight[1] - weight[0];
}

static void add_record(GVariant *record, const char *domain, bool is_implicit, GPtrArray *found)
{
	struct discovery *one = g_new0(struct discovery, 1);

	g_variant_get(record, "(qqqs)", NULL, NULL, &one->port, &one->host);
	one->is_implicit = is_implicit;
	one->how = is_implicit ? "DNS, _imaps._tcp" : "DNS, _imap._tcp";
	if (g_str_has_suffix(one->host, "."))
		one->host[strlen(one->host) - 1] = '\0';
	one->is_trusted = is_below(one->host, domain);
	g_ptr_array_add(found, one);
	/* "." says that the service is not offered. */
	if (!*one->host || one->port == 0)
		g_ptr_array_remove(found, one);
}

static void find_srv(const char *domain, bool is_implicit, GPtrArray *found)
{
	g_autoptr(GResolver) resolver = g_resolver_get_default();
	g_autofree char *name = g_strconcat(is_implicit ? "_imaps._tcp." : "_imap._tcp.", domain, NULL);
	GList *records = g_resolver_lookup_records(resolver, name, G_RESOLVER_RECORD_SRV, NULL, NULL);

	records = g_list_sort(records, by_priority);
	for (GList *at = records; at; at = at->next)
		add_record(at->data, domain, is_implicit, found);
	g_list_free_full(records, (GDestroyNotify)g_variant_unref);
}

/* ---- autoconfiguration ------------------------------------------------------------------------- */

static void take_file(const char *url, const char *address, const char *how, GPtrArray *found)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = https_get(url, &error);
	guint before = found->len;

	if (!text || !autoconfig_parse(text, address, found, &error)) {
		log_info("add", "%s: %s", how, error->message);
		g_ptr_array_set_size(found, (gint)before);
		return;
	}
	for (guint i = before; i < found->len; i++)
		((struct discovery *)g_ptr_array_index(found, i))->how = how;
}

static void find_file(const char *domain, const char *address, GPtrArray *found)
{
	g_autofree char *escaped = g_uri_escape_string(address, "@", TRUE);
	g_autofree char *own = g_strdup_printf(
		"https://autoconfig.%s/mail/config-v1.1.xml?emailaddress=%s", domain, escaped);
	g_autofree char *well_known = g_strdup_printf(
		"https://%s/.well-known/autoconfig/mail/config-v1.1.xml", domain);
	g_autofree char *ispdb = g_strconcat(ISPDB, domain, NULL);

	take_file(own, address, "autoconfiguration of the domain", found);
	if (!has_trusted(found))
		take_file(well_known, address, "autoconfiguration of the domain", found);
	if (!has_trusted(found))
		take_file(ispdb, address, "Thunderbird's database", found);
}

/* ---- who takes the domain's mail --------------------------------------------------------------- */

/* mx1.mail.example.org → example.org. Good enough to find a provider with. */
static char *base_domain(const char *host)
{
	g_auto(GStrv) labels = g_strsplit(host, ".", -1);
	guint count = g_strv_length(labels);

	while (count > 0 && !*labels[count - 1])
		count--;
	return count < 2 ? NULL : g_strdup_printf("%s.%s", labels[count - 2], labels[count - 1]);
}

static char *find_mx(const char *domain)
{
	g_autoptr(GResolver) resolver = g_resolver_get_default();
	GList *records = g_resolver_lookup_records(resolver, domain, G_RESOLVER_RECORD_MX, NULL, NULL);
	char *best = NULL;
	guint16 lowest = 0;

	for (GList *at = records; at; at = at->next) {
		guint16 preference;
		const char *host;

		g_variant_get(at->data, "(q&s)", &preference, &host);
		if (best && preference >= lowest)
			continue;
		lowest = preference;
		g_free(best);
		best = g_strdup(host);
	}
	g_list_free_full(records, (GDestroyNotify)g_variant_unref);
	if (best && g_str_has_suffix(best, "."))
		best[strlen(best) - 1] = '\0';
	return best;
}

/* MX records can be forged as well as SRV records can. */
static void find_by_mx(const char *domain, const char *address, GPtrArray *found)
{
	g_autofree char *mx = find_mx(domain);
	g_autofree char *base = mx ? base_domain(mx) : NULL;
	g_autofree char *url = base ? g_strconcat(ISPDB, base, NULL) : NULL;
	guint before = found->len;

	if (!base || strcmp(base, domain) == 0)
		return;
	if (!provider_find(mx, found) && !provider_find(base, found))
		take_file(url, address, "Thunderbird's database, by the MX record", found);
	for (guint i = before; i < found->len; i++)
		((struct discovery *)g_ptr_array_index(found, i))->is_trusted = false;
}

/* ---- all of it --------------------------------------------------------------------------------- */

/* What DNS alone has said is believed when somebody else says the same. */
static void confirm(GPtrArray *found)
{
	for (guint i = 0; i < found->len; i++) {
		struct discovery *one = g_ptr_array_index(found, i);

		for (guint k = 0; k < found->len && !one->is_trusted; k++) {
			const struct discovery *other = g_ptr_array_index(found, k);

			one->is_trusted = other->is_trusted && g_ascii_strcasecmp(one->host, other->host) == 0;
		}
	}
}

static int trusted_first(gconstpointer a, gconstpointer b)
{
	const struct discovery *one = *(struct discovery *const *)a, *other = *(struct discovery *const *)b;

	return (int)other->is_trusted - (int)one->is_trusted;
}

GPtrArray *discover(const char *address)
{
	g_autofree char *domain = g_ascii_strdown(strchr(address, '@') + 1, -1);
	GPtrArray *found = discoveries_new();

	find_srv(domain, true, found);
	find_srv(domain, false, found);
	if (!has_trusted(found))
		find_file(domain, address, found);
	if (!has_trusted(found))
		provider_find(domain, found);
	if (!has_trusted(found))
		find_by_mx(domain, address, found);
	confirm(found);
	g_ptr_array_sort(found, trusted_first);
	return found;
}
