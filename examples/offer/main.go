// Command offer shares the current directory as the service "files".
package main

import (
	"log"
	"net/http"

	"github.com/staex-mcc/mcc"
)

func main() {
	node, err := mcc.New(mcc.Options{Listen: "127.0.0.1:9376"})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := node.ListenService(mcc.Service{Name: "files"})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(ln, http.FileServer(http.Dir("."))))
}
