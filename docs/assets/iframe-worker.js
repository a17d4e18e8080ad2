/* Browsers start no worker for a page that was opened as a file. This one runs the script in a hidden frame instead, so that
   the site can be searched without a server. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.waiting = []
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.appendChild(this.frame)
      this.frame.contentDocument.open()
      this.frame.contentDocument.write("<!doctype html><body></body>")
      this.frame.contentDocument.close()
      const inner = this.frame.contentWindow
      inner.postMessage = data => setTimeout(() => this.receive(data))
      inner.importScripts = (...urls) => urls.reduce((done, one) => done.then(() => this.load(one)), Promise.resolve())
      this.load(url).then(() => {
        this.ready = true
        this.waiting.splice(0).forEach(data => this.send(data))
      })
    }

    load(url) {
      return new Promise((resolve, reject) => {
        const script = this.frame.contentDocument.createElement("script")
        script.src = url
        script.onload = resolve
        script.onerror = reject
        this.frame.contentDocument.body.appendChild(script)
      })
    }

    send(data) {
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }))
    }

    receive(data) {
      const message = new MessageEvent("message", { data })
      this.dispatchEvent(message)
      if (this.onmessage) this.onmessage(message)
    }

    postMessage(data) {
      this.ready ? this.send(data) : this.waiting.push(data)
    }

    terminate() {
      this.frame.remove()
    }
  }
}
