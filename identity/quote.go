package identity

import "errors"

// What strangers send ends up in errors and logs: these bound it.

// clip bounds text before an error quotes it with %q.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// bounded flattens the error of a library that quotes its input whole.
func bounded(err error) error {
	const most = 300
	if err == nil || len(err.Error()) <= most {
		return err
	}
	return errors.New(err.Error()[:most] + "…")
}
