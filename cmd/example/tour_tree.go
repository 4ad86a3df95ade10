package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"time"

	"github.com/ringmaster-io/ringmaster/actors"
	"github.com/ringmaster-io/ringmaster/messages"
)

// The tree of the tour: small files, and one of several chunks.
const (
	treeFolders = 40
	treeFiles   = treeFolders*25 + 1
	treeLarge   = 3*chunk + 1
)

// treeTime has nanoseconds, for the copy to keep.
var treeTime = time.Date(2001, 2, 3, 4, 5, 6, 789012345, time.UTC)

// makeTree writes the source of the copy with the helpers for goroutines.
func (g *guide) makeTree() error {
	g.say("Making a tree of %d files in a temporary directory", treeFiles)
	if err := g.mkdir("source"); err != nil {
		return err
	}
	for i := range treeFolders {
		if err := g.makeFolder(fmt.Sprintf("source/%02d", i)); err != nil {
			return err
		}
	}
	large := bytes.Repeat([]byte("ring"), treeLarge/4+1)[:treeLarge]
	if err := actors.WriteFile(g.ctx, g.client, g.path("source/large"), large, 0o600); err != nil {
		return err
	}
	_, err := await(g.ctx, g.client, &messages.Symlink{Target: "large", Path: g.path("source/link")})
	return err
}

func (g *guide) mkdir(name string) error {
	_, err := await(g.ctx, g.client, &messages.Mkdir{Path: g.path(name), Mode: 0o755})
	return err
}

func (g *guide) makeFolder(name string) error {
	if err := g.mkdir(name); err != nil {
		return err
	}
	for i := range (treeFiles - 1) / treeFolders {
		path := g.path(fmt.Sprintf("%s/%02d", name, i))
		data := bytes.Repeat([]byte(path), i)
		if err := actors.WriteFile(g.ctx, g.client, path, data, 0o444|fs.FileMode(i%2)<<7); err != nil {
			return err
		}
	}
	_, err := await(g.ctx, g.client, &messages.SetTimes{Path: g.path(name), Modified: treeTime})
	return err
}
