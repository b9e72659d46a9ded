// How the versions of the official client differ where the common tests touch them.
"use strict";

// Socket.IO protocol v5: the error of a refusal has the data in it, auth data goes into the CONNECT packet.
const modern = {
  engine: 4,
  refusal: "connect_error",
  refused: ({ message, data }) => ({ message, data }),
  withAuth: (auth) => ({ auth }),
};

module.exports = {
  v4: { ...modern, version: "client 4", io: require("socket.io-client").io },
};
