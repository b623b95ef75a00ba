#pragma once
#define PENSTOCK_VERSION "0.1.0"
