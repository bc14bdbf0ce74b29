// A broker with the defaults of aedes on 127.0.0.1. Usage: node aedes.js PORT
'use strict'
const server = require('net').createServer(require('aedes')().handle)
server.listen(Number(process.argv[2]), '127.0.0.1')
process.on('SIGTERM', () => process.exit(0))
