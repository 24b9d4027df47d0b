// Command call fetches the directory that examples/offer shares.
package main

import (
	"io"
	"log"
	"net/http"
	"os"

	"github.com/staex-mcc/mcc"
)

func main() {
	node, err := mcc.New(mcc.Options{Boot: []string{"127.0.0.1:9376"}})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	web := http.Client{Transport: &http.Transport{DialContext: node.DialContext}}
	resp, err := web.Get("http://files.mcc/")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		log.Fatal(err)
	}
}
