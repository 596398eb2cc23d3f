// SPDX-License-Identifier: GPL-2.0
/*
 * Does one thing wrong, as the parameter `kind` says, when it is loaded: what the debug kernel is to notice.
 */
#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>

static char *kind = "";
module_param(kind, charp, 0);
MODULE_PARM_DESC(kind, "What to do wrong");

/* Where results go that the compiler is to believe are needed. */
static int sink;

/* KASAN: one byte behind an object is read. */
static void splat_bounds(void)
{
	size_t size = 40;
	volatile u8 *object = kzalloc(size, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(size);
	if (object)
		sink = object[size];
	kfree((void *)object);
}

/* KASAN: an object is read that was freed. */
static void splat_freed(void)
{
	volatile u8 *object = kzalloc(40, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(object);
	kfree((void *)object);
	if (object)
		sink = object[8];
}

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

/* lockdep: two locks are taken in one order, then in the other. */
static void splat_locks(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

/* kmemleak: nobody knows any more where these are. Several, as a word somewhere may look like the address of one. */
static void splat_leak(void)
{
	void *object;
	int i;

	for (i = 0; i < 8; i++) {
		object = kzalloc(200, GFP_KERNEL);
		OPTIMIZER_HIDE_VAR(object);
	}
}

/* UBSAN: a shift by more than there is. */
static void splat_shift(void)
{
	int bits = 35;

	OPTIMIZER_HIDE_VAR(bits);
	sink = 1 << bits;
}

/* A reference is taken of what has none left. */
static void splat_reference(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

static void splat_never(struct timer_list *timer)
{
}

/* Debug objects: a timer is freed that still runs. */
static void splat_timer(void)
{
	struct timer_list *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, splat_never, 0);
	mod_timer(timer, jiffies + 3600 * HZ);
	kfree(timer);
}

static DEFINE_SPINLOCK(spin);

/* Something that sleeps is called where nothing may. */
static void splat_sleep(void)
{
	spin_lock(&spin);
	might_sleep();
	spin_unlock(&spin);
}

/* A neighbour in a list does not know the element that is removed. */
static void splat_list(void)
{
	LIST_HEAD(list);
	struct list_head element;

	list_add(&element, &list);
	list.next = &list;
	list_del(&element);
}

static const struct {
	const char *name;
	void (*make)(void);
} kinds[] = {
	{ "bounds", splat_bounds },
	{ "freed", splat_freed },
	{ "leak", splat_leak },
	{ "list", splat_list },
	{ "locks", splat_locks },
	{ "reference", splat_reference },
	{ "shift", splat_shift },
	{ "sleep", splat_sleep },
	{ "timer", splat_timer },
};

static int __init splat_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].name, kind))
			continue;
		kinds[i].make();
		return 0;
	}
	return -EINVAL;
}
module_init(splat_init);

static void __exit splat_exit(void)
{
}
module_exit(splat_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Does what the debug kernel is to notice");
