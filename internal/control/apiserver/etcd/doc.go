// Package etcd runs one etcd member inside this process for one API server: no TCP
// port, a Unix socket in a folder of its owner alone, every write synced.
//
// It owns the data folder, its lock, and etcd's habit of ending the process or
// panicking, which become errors here. It must not know what is stored.
package etcd
