/* SPDX-License-Identifier: MIT */
/*
 * The folders of an account as a directory tree. Loop thread; only the engine writes it. A folder
 * object lives as long as its wire name is listed; whoever must outlive that keeps the dir_id and
 * asks again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "mailfs/types.h"
#include "model/message.h"

#define TREE_DEPTH_MAX 64

struct folder {
	uint32_t dir_id; /* 24 bits; the directory's inode; 0 only for the root of the tree */
	char *name;      /* wire name; NULL for the root of the tree */
	char *path;      /* decoded, for people and globs; NULL for the root of the tree */
	char *shown;     /* the directory's name: one safe component, unique in its parent */
	char delimiter;
	unsigned flags; /* enum mailfs_folder_flag */
	char *role;     /* NULL = none */

	struct folder *parent; /* of one that is hidden: the root, which does not know of it */
	GHashTable *named;   /* shown → struct folder * */
	GPtrArray *children; /* the same, sorted by `shown` */

	/* The mailbox synced last. */
	uint32_t box_id; /* 0 = never */
	uint32_t uidvalidity;
	uint32_t messages, unseen; /* of the last sync, or of the server's STATUS before it */
	int64_t listing_ns;        /* last change of the set of messages or of subfolders */
	uint32_t generation;       /* rises with every change of the listing in this process */
	struct mailbox *box;       /* loaded; NULL = not */

	/* A first listing that is on its way, while there is no `box`: whole up to the UID coming_to.
	 * Not to be changed, nor built upon; the engine's own. NULL = none. */
	struct mailbox *coming;
	uint32_t coming_to;
	uint32_t coming_total; /* messages when it began */

	/* What the server allowed when it was last opened there; all, until then. */
	unsigned rights;          /* enum mailfs_right */
	unsigned denied;          /* those that an ACL withholds */
	unsigned permanent_flags; /* enum mailfs_flag */
	bool keywords_allowed;    /* any; else those below */
	char **keywords;          /* of PERMANENTFLAGS; NULL-terminated or NULL */

	void *engine; /* the engine's own */
	uint32_t told_generation; /* likewise */
	bool is_told;             /* likewise: news of it have gone out */
	bool is_listed; /* scratch of tree_update() */
};

struct tree {
	struct folder *root;
	GHashTable *by_name; /* wire name → folder */
	GHashTable *by_path; /* path → folder; scratch of tree_update() */
	GHashTable *by_id;   /* dir_id → folder */
	GHashTable *by_box;  /* box_id → folder, of loaded mailboxes */
	GHashTable *by_unloaded; /* the same, of those that left memory or are on their way */
};

/* Makes a decoded component safe to show; g_free() it. `is_top`: directly below the root. */
typedef char *(*tree_component_fn)(const char *bytes, size_t len, bool is_top);

/* One folder of a listing with the ids that the store gave it. */
struct tree_entry {
	uint32_t dir_id;
	const char *name, *path;
	char delimiter;
	unsigned flags;
	const char *role;
};

struct tree *tree_new(void);
/* `drop` is called for each folder before it is freed; NULL is fine. */
typedef void (*tree_drop_fn)(void *user, struct folder *folder);
void tree_free(struct tree *tree, tree_drop_fn drop, void *user);

/* Makes the tree show exactly `entries` (each parent is among them). Folders that stay keep their
 * object. True when some directory's listing changed; those have a new generation. */
bool tree_update(struct tree *tree, const struct tree_entry *entries, size_t count,
	tree_component_fn component, tree_drop_fn drop, void *user);

struct folder *tree_by_id(const struct tree *tree, uint32_t dir_id);
struct folder *tree_by_name(const struct tree *tree, const char *wire_name);
struct folder *tree_by_box(const struct tree *tree, uint32_t box_id);
struct folder *tree_child(const struct folder *folder, const char *shown);
/* "Archive/2023" as shown; NULL when there is none. "" is the root. */
struct folder *tree_by_shown_path(const struct tree *tree, const char *path);
char *tree_shown_path(const struct folder *folder); /* g_free() it */

/* Puts a loaded mailbox in place (takes it; frees the former); NULL: there is none any more. */
void tree_set_box(struct tree *tree, struct folder *folder, struct mailbox *box);
/* The mailbox leaves memory. It is the folder's still: its id leads there until tree_set_box(). */
void tree_unload_box(struct tree *tree, struct folder *folder);
struct folder *tree_by_unloaded(const struct tree *tree, uint32_t box_id);
unsigned tree_unloaded(const struct tree *tree); /* how many */
/* A first listing of it begins to be shown (borrowed), or is over (NULL). Its messages count as
 * unloaded until tree_set_box(). */
void tree_set_coming(struct tree *tree, struct folder *folder, struct mailbox *coming);
/* MAILFS_FOLDER_HIDDEN: found by its wire name and its ids, in no directory. */
bool folder_is_hidden(const struct folder *folder);
/* What can be listed of it: `box`, or what is `coming`; NULL = nothing. */
const struct mailbox *folder_listing(const struct folder *folder);
