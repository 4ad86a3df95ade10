package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// This file is the walls of the house: who may import whom, where unsafe code
// is, what must be documented.

const module = "github.com/ringmaster-io/ringmaster/"

const (
	protoactor = "github.com/asynkron/protoactor-go/"
	zap        = "go.uber.org/zap"
	unixPath   = "golang.org/x/sys/unix"
)

// walls are the packages that each directory's files may import, tests not
// counted, besides the standard library. A path that ends in a slash allows
// what is below it.
var walls = map[string][]string{
	"messages":                       {protoactor + "actor"},
	"ring/internal/sys":              {unixPath},
	"ring":                           {unixPath, module + "ring/internal/sys"},
	"ring/fake":                      {unixPath, module + "ring"},
	"ring/faulty":                    {module + "ring", module + "ring/internal/sys"},
	"ring/portable":                  {unixPath, module + "ring", module + "ring/internal/sys"},
	"actors":                         {module + "messages", module + "ring", module + "ring/portable", protoactor, zap, unixPath},
	"ring/sim":                       {unixPath, module + "ring"},
	"test/leak":                      {"go.uber.org/goleak"},
	"test/mutation":                  {},
	"test/refuse":                    {unixPath, "github.com/elastic/go-seccomp-bpf", "github.com/stretchr/testify/require"},
	"test/simulation":                {module + "messages", module + "actors", module + "ring", module + "ring/sim", module + "supervisor", module + "test/simulation/internal/actor", protoactor, zap, zap + "/zapcore", unixPath},
	"test/simulation/internal/actor": {protoactor},
	"supervisor":                     {module + "messages", module + "actors", protoactor, zap},
}

// forbidden are those that a directory's files may not import, whatever else
// they do; tests are not counted.
var forbidden = map[string][]string{
	"cmd/example": {module + "ring", module + "ring/", "unsafe"},
}

// excepted are those that they may all the same.
var excepted = map[string][]string{
	"cmd/example": {module + "ring/faulty"}, // decides when kernels fail, and uses none
}

// source is one parsed file of the module.
type source struct {
	dir, path string
	test      bool
	*ast.File
}

// sources are all files of the module.
func sources(t *testing.T) (all []source) {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fileSet, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, path)
		all = append(all, source{filepath.ToSlash(filepath.Dir(short)), short, strings.HasSuffix(path, "_test.go"), file})
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

var fileSet = token.NewFileSet()

// at names a place in the source.
func at(n ast.Node) string {
	p := fileSet.Position(n.Pos())
	return fmt.Sprintf("%s:%d", filepath.Join(filepath.Base(filepath.Dir(p.Filename)), filepath.Base(p.Filename)), p.Line)
}

// TestImports checks the walls.
func TestImports(t *testing.T) {
	for _, file := range sources(t) {
		if file.test {
			continue
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if allowed, walled := walls[file.dir]; walled && !standard(path) && !covered(path, allowed) {
				t.Errorf("%s: %s imports %s", at(spec), file.dir, path)
			}
			if covered(path, forbidden[file.dir]) && !covered(path, excepted[file.dir]) {
				t.Errorf("%s: %s imports %s", at(spec), file.dir, path)
			}
			if path == "unsafe" && file.dir != "ring/internal/sys" {
				t.Errorf("%s: unsafe outside ring/internal/sys", at(spec))
			}
		}
	}
}

// standard reports whether an import is of the standard library.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func covered(path string, by []string) bool {
	return slices.ContainsFunc(by, func(wall string) bool {
		return path == wall || strings.HasSuffix(wall, "/") && strings.HasPrefix(path, wall)
	})
}

// TestWallsStand checks that each directory that a wall is about exists, and
// that no library directory is without one.
func TestWallsStand(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range sources(t) {
		if !file.test {
			seen[file.dir] = true
		}
	}
	for dir := range walls {
		require.True(t, seen[dir], "no %s", dir)
	}
	for dir := range seen {
		_, walled := walls[dir]
		require.True(t, walled || strings.HasPrefix(dir, "cmd/") || dir == "test", "no wall around %s", dir)
	}
}

// TestNoLinkname keeps to what Go promises.
func TestNoLinkname(t *testing.T) {
	for _, file := range sources(t) {
		for _, group := range file.Comments {
			for _, comment := range group.List {
				if strings.HasPrefix(comment.Text, "//go:linkname") {
					t.Errorf("%s: go:linkname", at(comment))
				}
			}
		}
	}
}

// TestDocComments asks for a comment on each exported name.
func TestDocComments(t *testing.T) {
	documented := map[string]bool{}
	for _, file := range sources(t) {
		if file.test {
			continue
		}
		documented[file.dir] = documented[file.dir] || file.Doc != nil
		for _, decl := range file.Decls {
			for _, name := range undocumented(decl) {
				t.Errorf("%s: %s has no doc comment", at(name), name.Name)
			}
		}
	}
	for dir, ok := range documented {
		require.True(t, ok, "package %s has no doc comment", dir)
	}
}

func undocumented(decl ast.Decl) (names []*ast.Ident) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			names = append(names, undocumentedSpec(d, spec)...)
		}
	}
	return names
}

func undocumentedSpec(d *ast.GenDecl, spec ast.Spec) (names []*ast.Ident) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
			names = append(names, s.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
				names = append(names, name)
			}
		}
	}
	return names
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) (name string) {
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if ident, ok := n.(*ast.Ident); ok && name == "" {
			name = ident.Name
		}
		return name == ""
	})
	return name
}

// TestNoSleep keeps tests from waiting by the clock.
func TestNoSleep(t *testing.T) {
	for _, file := range sources(t) {
		if !file.test {
			continue
		}
		ast.Inspect(file.File, func(n ast.Node) bool {
			if isSelector(n, "time", "Sleep") {
				t.Errorf("%s: time.Sleep in a test", at(n))
			}
			return true
		})
	}
}

// TestNoFutures keeps protoactor's futures, which may be answered only once,
// out of what we export.
func TestNoFutures(t *testing.T) {
	for _, file := range sources(t) {
		if file.test || strings.HasPrefix(file.dir, "cmd/") {
			continue
		}
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || !d.Name.IsExported() {
				continue
			}
			ast.Inspect(d.Type, func(n ast.Node) bool {
				if isSelector(n, "actor", "Future") {
					t.Errorf("%s: %s has a protoactor future in its signature", at(n), d.Name.Name)
				}
				return true
			})
		}
	}
}

func isSelector(n ast.Node, pkg, name string) bool {
	selector, ok := n.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	ident, ok := selector.X.(*ast.Ident)
	return ok && ident.Name == pkg
}
