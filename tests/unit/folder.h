/* A folder of a test's own, and small files in it. */
#ifndef SORTEO_TESTS_UNIT_FOLDER_H
#define SORTEO_TESTS_UNIT_FOLDER_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct folder {
    char path[64];
};

static inline struct folder folder_create(void)
{
    struct folder folder = {.path = "/tmp/sorteo-unit-XXXXXX"};
    cr_assert_not_null(mkdtemp(folder.path));
    return folder;
}

/* Where `name` lies in it; valid until the next four calls. */
static inline const char *folder_file(const struct folder *folder, const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", folder->path, name);
    return path;
}

static inline void folder_write(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, count, file), count);
    cr_assert_eq(fclose(file), 0);
}

/* Whether a file holds exactly this text. */
static inline bool folder_holds(const char *path, const char *text)
{
    char read_text[4096];
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    size_t count = fread(read_text, 1, sizeof(read_text), file);
    fclose(file);
    return count == strlen(text) && memcmp(read_text, text, count) == 0;
}

/* How many files are in it. */
static inline unsigned folder_count(const struct folder *folder)
{
    unsigned count = 0;
    DIR *directory = opendir(folder->path);
    cr_assert_not_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

/* Removes the files and the folder. */
static inline void folder_destroy(const struct folder *folder)
{
    DIR *directory = opendir(folder->path);
    cr_assert_not_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        (void)unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    cr_assert_eq(rmdir(folder->path), 0);
}

#endif
