/* SPDX-License-Identifier: MIT */
/* Pieces to names: what each kind shows, and how a name is made to fit. */
#include "view/pieces.h"

#include <stdio.h>
#include <string.h>

#include "view/address.h"
#include "view/part.h"

/* 0000-01-01 00:00:00 and 9999-12-31 23:59:59: what four digits of year can say. */
#define DATE_MIN (-62167219200)
#define DATE_MAX 253402300799

const struct piece_info piece_infos[PIECE_KINDS] = {
	[PIECE_WORD]      = { NULL, 0, false },
	[PIECE_UID]       = { "uid", 10, false },
	[PIECE_DATE]      = { "date", 10, false },
	[PIECE_TIME]      = { "time", 4, false },
	[PIECE_MSGID8]    = { "msgid8", 8, true },
	[PIECE_FROM]      = { "from", 0, true },
	[PIECE_FROM_ADDR] = { "from.addr", 0, true },
	[PIECE_TO]        = { "to", 0, true },
	[PIECE_SUBJECT]   = { "subject", 0, true },
};

/* A piece as it will stand in the name. */
struct shown {
	char text[MAILFS_NAME_MAX + 1];
	size_t len;
	bool is_text; /* may be cut */
};

static struct slice slice_of(const char *text)
{
	return (struct slice){ text, text ? strlen(text) : 0 };
}

__attribute__((format(printf, 2, 3)))
static void show_printf(struct shown *shown, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	shown->len = (size_t)vsnprintf(shown->text, sizeof(shown->text), format, args);
	va_end(args);
	g_assert(shown->len < sizeof(shown->text));
}

/* Without printf(), which would be most of the cost of a name. */
static void put_digits(char *at, size_t count, unsigned number)
{
	while (count-- > 0) {
		at[count] = (char)('0' + number % 10);
		number /= 10;
	}
}

static void show_number(struct shown *shown, uint32_t number)
{
	shown->len = 1;
	for (uint32_t rest = number / 10; rest > 0; rest /= 10)
		shown->len++;
	put_digits(shown->text, shown->len, number);
}

static void show_text(struct shown *shown, struct slice text, unsigned width, const char *otherwise)
{
	shown->len = part_write(text, width == 0 ? PIECE_WIDTH_MAX : width, shown->text);
	shown->is_text = true;
	if (shown->len == 0)
		shown->len = part_write(slice_of(otherwise), PIECE_WIDTH_MAX, shown->text);
}

/* Days since 1970 to the proleptic Gregorian calendar; years counted from March of year 0. */
static void show_date(struct shown *shown, int64_t days)
{
	int64_t shifted = days + 719468 + 146097; /* since March of year -400: never negative */
	int64_t era = shifted / 146097;
	unsigned day_of_era = (unsigned)(shifted % 146097);
	unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
		day_of_era / 146096) / 365;
	unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned from_march = (5 * day_of_year + 2) / 153;
	unsigned day = day_of_year - (153 * from_march + 2) / 5 + 1;
	unsigned month = from_march < 10 ? from_march + 3 : from_march - 9;
	int64_t year = year_of_era + (era - 1) * 400 + (month <= 2);

	memcpy(shown->text, "0000-00-00", 10);
	put_digits(shown->text, 4, (unsigned)year);
	put_digits(shown->text + 5, 2, month);
	put_digits(shown->text + 8, 2, day);
	shown->len = 10;
}

static void show_when(struct shown *shown, enum piece_kind kind, int64_t date)
{
	int64_t clamped = CLAMP(date, DATE_MIN, DATE_MAX);
	unsigned second = (unsigned)((clamped - DATE_MIN) % 86400);

	if (kind == PIECE_DATE) {
		show_date(shown, (clamped - second) / 86400);
		return;
	}
	put_digits(shown->text, 2, second / 3600);
	put_digits(shown->text + 2, 2, second / 60 % 60);
	shown->len = 4;
}

static void show_msgid8(struct shown *shown, const char *message_id)
{
	if (!message_id || *message_id == '\0')
		show_printf(shown, "no-msgid");
	else
		show_printf(shown, "%08x", (unsigned)view_name_hash(message_id));
}

static void show_piece(struct shown *shown, const struct piece *piece,
	const struct mailfs_name_input *input)
{
	static const struct mailfs_head unknown_head;
	const struct mailfs_head *head = input->head ? input->head : &unknown_head;

	shown->is_text = false;
	switch (piece->kind) {
	case PIECE_WORD:
		shown->len = MIN(strlen(piece->word), MAILFS_NAME_MAX);
		memcpy(shown->text, piece->word, shown->len);
		break;
	case PIECE_UID:
		show_number(shown, input->uid);
		break;
	case PIECE_DATE:
	case PIECE_TIME:
		show_when(shown, piece->kind, input->date);
		break;
	case PIECE_MSGID8:
		show_msgid8(shown, head->message_id);
		break;
	case PIECE_FROM:
		show_text(shown, slice_of(head->from_name), piece->width, "unknown");
		break;
	case PIECE_FROM_ADDR:
		show_text(shown, address_first(head->from).spec, piece->width, "unknown");
		break;
	case PIECE_TO:
		show_text(shown, address_first(head->to).name, piece->width, "unknown");
		break;
	case PIECE_SUBJECT:
		show_text(shown, slice_of(head->subject), piece->width, "no-subject");
		break;
	case PIECE_KINDS:
		g_assert_not_reached();
	}
}

static size_t total_len(const struct shown *shown, size_t count, size_t cap)
{
	size_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += shown[i].is_text ? MIN(shown[i].len, cap) : shown[i].len;
	return total;
}

static void cut_to_fit(struct shown *shown, size_t count, size_t limit)
{
	size_t cap = PIECE_WIDTH_MAX;

	while (cap > PIECE_WIDTH_MIN && total_len(shown, count, cap) > limit)
		cap--;
	for (size_t i = 0; i < count; i++) {
		if (shown[i].is_text)
			shown[i].len = part_cut(shown[i].text, shown[i].len, cap);
	}
}

/* CON, aux.txt and com1.tar.gz are devices on Windows, in any directory. */
static bool is_device_name(const char *name)
{
	static const char *const devices[] = { "con", "prn", "aux", "nul" };
	static const char *const digits[] = { "¹", "²", "³" };
	size_t stem = strcspn(name, ".");

	for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
		if (stem == 3 && g_ascii_strncasecmp(name, devices[i], 3) == 0)
			return true;
	}
	if (stem < 4 || (g_ascii_strncasecmp(name, "com", 3) != 0 &&
		g_ascii_strncasecmp(name, "lpt", 3) != 0))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(digits); i++) {
		if (stem == 5 && memcmp(name + 3, digits[i], 2) == 0)
			return true;
	}
	return stem == 4 && g_ascii_isdigit(name[3]);
}

static bool starts_with_number(const struct piece *pieces)
{
	return pieces[0].kind == PIECE_DATE || pieces[0].kind == PIECE_UID ||
		pieces[0].kind == PIECE_TIME;
}

void pieces_write(const struct piece *pieces, size_t count, const struct mailfs_name_input *input,
	char ret_name[MAILFS_NAME_MAX + 1])
{
	struct shown shown[PIECES_MAX];
	/* A number is no device; everything else may need a '_' in front. */
	size_t reserve = starts_with_number(pieces) ? 0 : 1;
	size_t len = 0;

	g_assert(count <= PIECES_MAX);
	for (size_t i = 0; i < count; i++)
		show_piece(&shown[i], &pieces[i], input);
	cut_to_fit(shown, count, MAILFS_NAME_MAX - reserve);
	for (size_t i = 0; i < count; i++) {
		g_assert(len + shown[i].len <= MAILFS_NAME_MAX - reserve);
		memcpy(ret_name + len, shown[i].text, shown[i].len);
		len += shown[i].len;
	}
	ret_name[len] = '\0';
	if (reserve == 1 && is_device_name(ret_name)) {
		memmove(ret_name + 1, ret_name, len + 1);
		ret_name[0] = '_';
	}
}

size_t pieces_min_len(const struct piece *pieces, size_t count)
{
	size_t total = 1; /* the '_' before a device name */

	for (size_t i = 0; i < count; i++) {
		if (pieces[i].kind == PIECE_WORD)
			total += strlen(pieces[i].word);
		else if (piece_infos[pieces[i].kind].fixed_len != 0)
			total += piece_infos[pieces[i].kind].fixed_len;
		else
			total += PIECE_WIDTH_MIN;
	}
	return total;
}
