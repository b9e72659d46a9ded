"use strict";

require("../../support/client-suite").rooms(require("../../support/dialects")("v3"));
