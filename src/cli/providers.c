/* SPDX-License-Identifier: MIT */
/*
 * Large providers, for when neither DNS nor the network's databases answer. What their help pages say;
 * `*.` in front of a domain stands for any name below it.
 */
#include <string.h>

#include "cli/discover.h"

#define APP_PASSWORD "it wants an app password, made in the settings of the account"
#define OAUTH        "it takes OAuth tokens only: see token-command in mailfs.conf(5)"
#define SWITCH_ON    "IMAP has to be switched on in the settings of the account first"

/* clang-format off */
static const struct {
	const char *domains; /* separated by spaces */
	const char *host;    /* port 993 */
	const char *note;
} providers[] = {
	{ "gmail.com googlemail.com *.google.com", "imap.gmail.com", APP_PASSWORD ", or a token-command" },
	{ "outlook.com hotmail.com live.com msn.com *.outlook.com", "outlook.office365.com", OAUTH },
	{ "yahoo.com yahoo.co.uk yahoo.fr yahoo.de ymail.com rocketmail.com *.yahoodns.net",
		"imap.mail.yahoo.com", APP_PASSWORD },
	{ "icloud.com me.com mac.com *.icloud.com", "imap.mail.me.com", APP_PASSWORD },
	{ "aol.com aim.com", "imap.aol.com", APP_PASSWORD },
	{ "fastmail.com fastmail.fm *.messagingengine.com", "imap.fastmail.com", APP_PASSWORD },
	{ "gmx.de gmx.net gmx.at gmx.ch", "imap.gmx.net", SWITCH_ON },
	{ "gmx.com gmx.us gmx.co.uk mail.com", "imap.gmx.com", SWITCH_ON },
	{ "web.de", "imap.web.de", SWITCH_ON },
	{ "t-online.de magenta.de", "secureimap.t-online.de", "it wants its own password for mail programs" },
	{ "posteo.de posteo.net", "posteo.de", NULL },
	{ "mailbox.org *.mailbox.org", "imap.mailbox.org", NULL },
	{ "freenet.de", "mx.freenet.de", NULL },
	{ "zoho.com *.zoho.com", "imap.zoho.com", SWITCH_ON },
	{ "zoho.eu *.zoho.eu", "imap.zoho.eu", SWITCH_ON },
	{ "yandex.com yandex.ru ya.ru *.yandex.net", "imap.yandex.com", APP_PASSWORD },
	{ "mail.ru inbox.ru list.ru bk.ru", "imap.mail.ru", APP_PASSWORD },
	{ "orange.fr wanadoo.fr", "imap.orange.fr", NULL },
	{ "free.fr", "imap.free.fr", NULL },
	{ "laposte.net", "imap.laposte.net", NULL },
	{ "libero.it", "imapmail.libero.it", NULL },
	{ "comcast.net", "imap.comcast.net", SWITCH_ON },
	{ "163.com", "imap.163.com", SWITCH_ON },
	{ "126.com", "imap.126.com", SWITCH_ON },
	{ "qq.com foxmail.com", "imap.qq.com", SWITCH_ON },
	{ "naver.com", "imap.naver.com", SWITCH_ON },
	{ "seznam.cz email.cz", "imap.seznam.cz", NULL },
	{ "wp.pl", "imap.wp.pl", SWITCH_ON },
	{ "riseup.net", "mail.riseup.net", NULL },
	{ "disroot.org", "disroot.org", NULL },
	{ "runbox.com", "mail.runbox.com", NULL },
	{ "*.migadu.com", "imap.migadu.com", NULL },
	{ "*.purelymail.com purelymail.com", "imap.purelymail.com", NULL },
	{ "*.gandi.net", "mail.gandi.net", NULL },
	{ "*.ovh.net", "ssl0.ovh.net", NULL },
	{ "*.one.com", "imap.one.com", NULL },
	{ "*.ionos.com *.kundenserver.de", "imap.ionos.com", NULL },
};
/* clang-format on */

static bool matches(const char *domains, const char *domain)
{
	g_auto(GStrv) words = g_strsplit(domains, " ", -1);

	for (char **word = words; *word; word++) {
		if (**word == '*' ? g_str_has_suffix(domain, *word + 1) : strcmp(*word, domain) == 0)
			return true;
	}
	return false;
}

bool provider_find(const char *domain, GPtrArray *found)
{
	for (size_t i = 0; i < G_N_ELEMENTS(providers); i++) {
		struct discovery *one;

		if (!matches(providers[i].domains, domain))
			continue;
		one = g_new(struct discovery, 1);
		*one = (struct discovery){
			.is_implicit = true,
			.host = g_strdup(providers[i].host),
			.port = 993,
			.how = "table of large providers",
			.note = providers[i].note,
			.is_trusted = true,
		};
		g_ptr_array_add(found, one);
		return true;
	}
	return false;
}
